"""Error bars that know that tokens of one document go wrong together.

Documents are drawn anew, not tokens, and the interval is the studentized bootstrap's (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, 12.5): of every resample the t value (its mean less the real one, over its own
standard error) is taken, and quantiles of those stand for Student's. For the skewed sums that divergences are, and for
few dozens of documents, it covers the truth about as often as it says, where plain percentiles of resampled means do
not. The standard error of the real sample is the jackknife's, which is fair to documents of unequal length.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 10  # clusters; an interval from fewer would be too narrow
RESAMPLES = 2000
SEED = 20
BATCH = 1 << 22  # weights drawn at a time

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over tokens and where the true one lies with `confidence`; low and high are NaN where there are fewer than
    FEWEST clusters. `clusters`: how many documents (or chunks: `of`) it rests on."""

    mean: float
    low: float
    high: float
    clusters: int
    of: str = "documents"
    confidence: float = 0.95

    @property
    def known(self) -> bool:
        return not math.isnan(self.low)

    def map(self, increasing: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the mean."""
        mean, low, high = map(increasing, (self.mean, self.low, self.high))
        return replace(self, mean=mean, low=low, high=high)


def interval(
    values: ArrayLike, clusters: ArrayLike, of: str = "documents", confidence: float = 0.95, seed: int = SEED
) -> Interval:
    """The mean of `values` (n,) with its interval; values with one number in `clusters` (n,) belong together."""
    v, names = np.asarray(values, np.float64).ravel(), np.asarray(clusters).ravel()
    _, members = np.unique(names, return_inverse=True)
    sums, sizes = np.bincount(members, v), np.bincount(members)
    return interval_of_sums(sums.astype(np.float64), sizes.astype(np.float64), of, confidence, seed)


def interval_of_sums(
    sums: Float64, sizes: Float64, of: str = "documents", confidence: float = 0.95, seed: int = SEED
) -> Interval:
    """The same from each cluster's sum and size (clusters,): the ratio sum(sums) / sum(sizes)."""
    count, mean = len(sums), float(sums.sum() / sizes.sum())
    if count < FEWEST:
        return Interval(mean, math.nan, math.nan, count, of, confidence)
    error = float(np.sqrt((((sums - mean * sizes) / (sizes.sum() - sizes)) ** 2).sum() * (count - 1) / count))
    if error == 0:
        return Interval(mean, mean, mean, count, of, confidence)
    below, above = np.quantile(_t_values(sums, sizes, mean, error, seed), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(mean - above * error), float(mean - below * error), count, of, confidence)


def _t_values(sums: Float64, sizes: Float64, mean: float, error: float, seed: int) -> Float64:
    """(mean of the resample - mean) / (standard error of the resample), RESAMPLES of them; of a resample without any
    spread (what is counted is rare, and none of its documents has it) the real sample's `error` is taken."""
    count, found = len(sums), []
    batches = max(1, RESAMPLES * count // BATCH)
    for batch in range(batches):
        weights = _weights(count, RESAMPLES // batches, seed + batch)
        total = weights @ sizes
        means = weights @ sums / total
        squares = weights @ sums**2 - 2 * means * (weights @ (sums * sizes)) + means**2 * (weights @ sizes**2)
        errors = np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / total
        found.append((means - mean) / np.where(errors > 0, errors, error))
    return np.concatenate(found)


@functools.lru_cache(maxsize=2)
def _weights(count: int, rows: int, seed: int) -> Float64:
    """How often each of `count` clusters is in each resample (rows, count): the same for all measures of one text."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), rows).astype(np.float64)


def verdict(difference: Interval) -> str:
    """What an interval of (first - second), where less is better, says of the first: better, worse or cannot tell."""
    if not difference.known or difference.low <= 0 <= difference.high:
        return "cannot tell"
    return "better" if difference.high < 0 else "worse"
