"""What candidates are measured against: the reference's next-token distributions of a search text, kept on disk.

Of each distribution the likeliest tokens are kept with their log-probabilities, the total mass of the others, and a
sample of these drawn in proportion to probability. The divergence within that rest is then the mean over the sample of
w - 1 - log w, w being the ratio of the candidate's conditional probability to the reference's: unbiased, never
negative, and of second order in the difference, so that a few samples do. All candidates see the same sample. Of a
model of 135M weights at 4 bits (KL .18), storing so adds a standard error of .002 nats to a token's divergence, .0005
to its change when one tensor changes: over 4,000 tokens .00003 and .00001.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError
from bitwright.fit.recent import Recent
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing
from bitwright.kernels.sharing import Sharing
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

KEPT = 512  # tokens of each distribution, and as many sampled; a vocabulary of less than twice their sum is kept whole
VERSION = 1  # of the files
HELD = 128 << 20  # bytes of distributions kept in memory
LEAST = 16  # rows that are worth a thread
TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Distributions:
    """Next-token distributions of n positions: `ids` and `log_p` (n, kept + sampled), the `kept` likeliest first, from
    the top; `rest` (n,): the mass of all others."""

    ids: NDArray[np.int32]
    log_p: Float32
    rest: Float64
    kept: int

    def compare(self, logits: Float32, threads: Sharing) -> tuple[Float64, NDArray[np.bool_]]:
        """KL(these || softmax(logits)) in nats (n,), and whether the likeliest token is the same (n,).

        `logits` (n, vocabulary). BitwrightError if they are not finite.
        """
        divergences, same = np.empty(len(logits)), np.empty(len(logits), np.bool_)

        def part(rows: slice) -> None:
            scratch = np.empty(logits.shape[1], np.float32)
            for row in range(rows.start, rows.stop):
                divergences[row], same[row] = self._compare(row, logits[row], scratch)

        threads.map(part, len(logits), LEAST)
        return divergences, same

    def _compare(self, row: int, logits: Float32, scratch: Float32) -> tuple[float, bool]:
        ids, kept = self.ids[row], self.kept
        top = int(logits.argmax())
        np.subtract(logits, _finite(logits[top]), out=scratch)
        shifted = scratch[ids].astype(np.float64)
        np.exp(scratch, out=scratch)
        head = scratch[ids[:kept]].sum(dtype=np.float64)
        scratch[ids[:kept]] = 0
        others = float(scratch.sum())
        ratio = self.log_p[row] - (shifted - np.log(head + others))  # log p - log q
        divergence = float(np.exp(self.log_p[row, :kept].astype(np.float64)) @ ratio[:kept])
        if len(ids) > kept and self.rest[row] > 0:
            rest = float(self.rest[row])
            gap = np.log(rest / max(others / (head + others), TINY))
            log_w = gap - ratio[kept:]
            divergence += rest * (gap + float((np.expm1(log_w) - log_w).mean()))
        return divergence, top == int(ids[0])


def condense(logits: Float32, seed: Sequence[int], threads: Sharing, kept: int = KEPT) -> Distributions:
    """The distributions of logits (n, vocabulary). The sample depends on `seed` and nothing else."""
    n, vocabulary = logits.shape
    kept, sampled = (vocabulary, 0) if vocabulary <= 4 * kept else (kept, kept)
    found = Distributions(
        np.empty((n, kept + sampled), np.int32), np.empty((n, kept + sampled), np.float32), np.zeros(n), kept
    )
    offsets = np.random.default_rng(seed).random((n,))

    def part(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            own: Float32 = np.subtract(logits[row], _finite(logits[row].max()))
            mass = np.exp(own)
            log_sum = math.log(mass.sum(dtype=np.float64))
            head = np.argpartition(own, vocabulary - kept)[vocabulary - kept :] if sampled else np.arange(vocabulary)
            found.ids[row, :kept] = head = head[np.lexsort((head, -own[head]))]
            if sampled:
                mass[head] = 0
                sums = np.cumsum(mass, dtype=np.float64)
                points = (np.arange(sampled) + offsets[row]) / sampled * sums[-1]
                found.ids[row, kept:] = np.minimum(np.searchsorted(sums, points, side="right"), vocabulary - 1)
                found.rest[row] = sums[-1] / math.exp(log_sum)
            found.log_p[row] = own[found.ids[row]] - log_sum

    threads.map(part, n, LEAST)
    return found


def _finite(peak: np.float32) -> np.float32:
    """The largest logit, checked."""
    if not np.isfinite(peak):
        raise BitwrightError(f"the model computed {peak} as a logit: its weights are damaged")
    return peak


class Predictions:
    """The reference's distributions at the scored positions of each chunk, computed when first needed and then kept.

    `tokens` (chunks, context); `outputs` (scored,): the scored positions, all from `first` on. The reference's
    packed weights are held only while it runs.
    """

    def __init__(
        self,
        engine: Engine,
        tokens: NDArray[np.int32],
        first: int,
        folder: Path | None = None,
    ) -> None:
        self.engine, self.tokens = engine, np.ascontiguousarray(tokens, np.int32)
        self.outputs = np.arange(first, tokens.shape[1])
        self.folder = cache_folder() / "references" / "search" if folder is None else folder
        self.threads, self._held = Sharing(engine.threads), Recent[int, Distributions](HELD)
        options = engine.options
        run = f"{engine.tier} {options.kv} {options.activations}"
        self._about = f"{VERSION} {engine.model.sha256()} {run} {first} {KEPT}"

    def compute(self, chunks: Sequence[int], progress: Progress | None = None) -> None:
        """Make sure that these chunks are on disk."""
        self._write([chunk for chunk in dict.fromkeys(chunks) if self.read(chunk) is None], progress)

    def __getitem__(self, chunks: Sequence[int]) -> list[Distributions]:
        """The distributions of chunks, read from disk or computed."""
        found = {chunk: self.read(chunk) for chunk in chunks}
        self._write([chunk for chunk in found if found[chunk] is None])
        return [found[chunk] or self._written(chunk) for chunk in chunks]

    def _written(self, chunk: int) -> Distributions:
        found = self.read(chunk)
        if found is None:
            raise BitwrightError(f"{self._path(chunk)}: expected the file just written, found none or a damaged one")
        return found

    def _write(self, missing: list[int], progress: Progress | None = None) -> None:
        session = self.engine.session() if missing else None
        for done, chunk in enumerate(missing):
            assert session is not None
            session.reset()
            logits = session.extend(self.tokens[chunk], self.outputs.tolist())
            found = condense(logits, list(self._digest(chunk)), self.threads)
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(chunk)) as file:
                np.savez(file, ids=found.ids, log_p=found.log_p, rest=found.rest, kept=found.kept)
            if progress:
                progress(done + 1, len(missing), f"reference, chunk {done + 1} of {len(missing)}")

    def read(self, chunk: int) -> Distributions | None:
        """A chunk held in memory or on disk; None if its file is missing or damaged."""
        held = self._held.get(chunk)
        if held is not None:
            return held
        try:
            with np.load(self._path(chunk)) as file:
                found = Distributions(file["ids"], file["log_p"], file["rest"], int(file["kept"]))
        except MemoryError:  # no fault of the file
            raise
        except Exception:  # no file, or flipped bits, with which zipfile and NumPy raise nearly every kind of exception
            return None
        if not len(found.ids) == len(found.rest) == len(self.outputs):
            return None
        return self._held.put(chunk, found, found.ids.nbytes + found.log_p.nbytes)

    def _digest(self, chunk: int) -> bytes:
        return hashlib.sha256(self._about.encode() + self.tokens[chunk].tobytes()).digest()

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{self._digest(chunk)[:16].hex()}.npz"
