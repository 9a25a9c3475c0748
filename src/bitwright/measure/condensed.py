"""Next-token distributions stored compactly: exact where they matter, sampled where they do not.

The likeliest tokens of every distribution are kept with their exact log-probabilities. Of the rest, the total mass is
kept, and a systematic sample drawn in proportion to probability: mass * mean(log p - log q) over the sample estimates
the rest's part of KL(P || Q) without bias, and the sample shows the estimate's variance. The mass alone (the rest as
one outcome) would always understate the divergence, because merging outcomes never raises it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure.softmax import normalizer

TAIL = 0.02  # mean probability that is left to the sample
FEWEST_KEPT, MOST_KEPT = 256, 4096  # tokens kept per distribution
SAMPLED = 4  # one token is sampled from the rest for this many kept


@dataclass(frozen=True)
class Condensed:
    """Distributions of n positions: `kept` tokens of each, likeliest first, then those sampled from the rest.

    `ids` and `logits` (n, kept + sampled), `normalizers` (n, 2) as `softmax.normalizer` gives them, `rest` (n,) the
    mass of the tokens not kept.
    """

    ids: NDArray[np.int32]
    logits: NDArray[np.float32]
    normalizers: NDArray[np.float64]
    rest: NDArray[np.float64]
    kept: int

    @property
    def log_p(self) -> NDArray[np.float64]:
        """Log-probabilities (n, kept + sampled)."""
        peaks, log_sums = self.normalizers.T[..., None]
        found: NDArray[np.float64] = (self.logits.astype(np.float64) - peaks) - log_sums
        return found

    def __getitem__(self, positions: slice) -> Condensed:
        at = positions
        return Condensed(self.ids[at], self.logits[at], self.normalizers[at], self.rest[at], self.kept)

    def divergence(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """KL(these || softmax(logits)) of each position (n,) in nats, logits (n, vocabulary), and the variance that
        sampling adds to it (n,), estimated as if the sample were independent.
        """
        log_p = self.log_p
        ratio = log_p.copy()
        for own, ids, row in zip(ratio, self.ids, logits, strict=True):
            peak, log_sum = normalizer(row)
            own -= (row[ids].astype(np.float64) - peak) - log_sum
        kept, sampled = ratio[:, : self.kept], ratio[:, self.kept :]
        exact = (np.exp(log_p[:, : self.kept]) * kept).sum(1)
        if not sampled.shape[1]:
            return exact, np.zeros(len(exact))
        return exact + self.rest * sampled.mean(1), self.rest**2 * sampled.var(1, ddof=1) / sampled.shape[1]


def kept_for(logits: NDArray[np.float32]) -> int:
    """How many tokens to keep of distributions like these, logits (n, vocabulary): the power of two, within bounds,
    that leaves TAIL of the probability to the sample on average; all if that is at least half of the vocabulary."""
    sums = np.zeros(logits.shape[1])
    for row in logits:
        peak, log_sum = normalizer(row)
        sums += np.cumsum(-np.sort(-np.exp((row.astype(np.float64) - peak) - log_sum)))
    enough = int(np.searchsorted(sums / len(logits), 1 - TAIL)) + 1
    kept = int(np.clip(1 << (enough - 1).bit_length(), FEWEST_KEPT, MOST_KEPT))
    return logits.shape[1] if 2 * kept >= logits.shape[1] else kept


def condense(logits: NDArray[np.float32], kept: int, random: np.random.Generator) -> Condensed:
    """The distributions of logits (n, vocabulary), with `kept` tokens exact and kept // SAMPLED drawn from the rest."""
    vocabulary = logits.shape[1]
    if not 1 <= kept <= vocabulary:
        raise UsageError(f"expected 1 to {vocabulary} tokens to keep of a distribution, got {kept}")
    sampled = 0 if kept == vocabulary else max(2, kept // SAMPLED)
    ids = np.empty((len(logits), kept + sampled), np.int32)
    stored, normalizers, rest = np.empty(ids.shape, np.float32), np.empty((len(logits), 2)), np.zeros(len(logits))
    for index, row in enumerate(logits):
        normalizers[index] = peak, log_sum = normalizer(row)
        head = np.argpartition(-row, kept - 1)[:kept] if sampled else np.arange(kept)
        head = head[np.lexsort((head, -row[head]))]
        ids[index, :kept] = head
        if sampled:
            mass = np.exp((row.astype(np.float64) - peak) - log_sum)
            mass[head] = 0
            sums = np.cumsum(mass)
            points = (np.arange(sampled) + random.random()) / sampled * sums[-1]
            ids[index, kept:] = np.minimum(np.searchsorted(sums, points, side="right"), vocabulary - 1)
            rest[index] = sums[-1]
        stored[index] = row[ids[index]]
    return Condensed(ids, stored, normalizers, rest, kept)
