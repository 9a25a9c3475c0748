"""llama.cpp's file of a reference's log-probabilities: what `llama-perplexity --kl-divergence-base` writes and reads.

    "_logits_"  context, vocabulary, chunks (int32)  tokens (int32, chunks * context)
    for every scored token: scale, lowest (float32), then a code (uint16) for each id: log p = scale * code + lowest

rounded up to an even number of codes (tools/perplexity/perplexity.cpp). All tokens less likely than e**-16 times the
likeliest share the code 0, and tokens less likely than e**-16 are left out of divergences, so a divergence from such a
file misses the far tail. `reference.ReferenceStore` has no such limit and takes a tenth of the space.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import FileFormatError
from bitwright.io import inputs
from bitwright.io.atomic import replacing
from bitwright.kernels import mapping
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import normalizer
from bitwright.measure.windows import Windows, cut_ids
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.model.tokenizer import Tokenizer

MAGIC = b"_logits_"
HEADER = 20  # bytes before the tokens
CLIP = 16  # nats below the likeliest; tokens further below share a code
STEPS = 65535
ROUNDING = 0.01  # nats; a likeliest token's log-probability, rounded, may exceed 0


@dataclass(frozen=True)
class KldChunk:
    """`stored` (n, codes + 4) uint16 of one chunk: scale and lowest as float32, then the codes."""

    stored: NDArray[np.uint16]
    targets: NDArray[np.int32]
    vocabulary: int

    def _log_p(self, row: int) -> NDArray[np.float64]:
        scale, lowest = self.stored[row, :4].view(np.float32)
        return self.stored[row, 4 : 4 + self.vocabulary] * np.float64(scale) + np.float64(lowest)

    @property
    def losses(self) -> NDArray[np.float64]:
        """The reference's loss in nats at each scored position."""
        return np.array([-self._log_p(row)[target] for row, target in enumerate(self.targets)])

    @property
    def top(self) -> NDArray[np.int32]:
        """The reference's likeliest token at each scored position."""
        found: NDArray[np.int32] = self.stored[:, 4 : 4 + self.vocabulary].argmax(1).astype(np.int32)
        return found

    def divergence(self, start: int, logits: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """KL(reference || softmax(logits)) at positions from `start` on, and the variance that storing adds to it."""
        result = np.empty(len(logits))
        for index, row in enumerate(logits):
            log_p, (peak, log_sum) = self._log_p(start + index), normalizer(row)
            likely = np.flatnonzero(log_p > -CLIP)
            log_p = log_p[likely]
            result[index] = np.exp(log_p) @ (log_p - ((row[likely].astype(np.float64) - peak) - log_sum))
        return result, np.zeros(len(logits))


class KldFile:
    """An open file; `windows` are its chunks, cut and scored as llama.cpp does."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        with inputs.opened(path) as file:
            magic, numbers = file.read(8), file.read(12)
            size = os.fstat(file.fileno()).st_size
        if magic != MAGIC or len(numbers) < 12:
            raise FileFormatError(path, 0, f"{MAGIC!r} and three numbers, as llama-perplexity writes", repr(magic))
        header = np.frombuffer(numbers, "<i4")
        context, self.vocabulary, chunks = map(int, header)
        if min(context, self.vocabulary, chunks) < 1 or context < 4:
            raise FileFormatError(path, 8, "a context, a vocabulary and a count of chunks", f"{header.tolist()}")
        shape = (chunks, context - 1 - context // 2, (self.vocabulary + 1) // 2 * 2 + 4)
        expected = HEADER + 4 * context * chunks + 2 * shape[0] * shape[1] * shape[2]
        if size != expected:
            raise FileFormatError(path, None, f"{expected} bytes for {chunks} chunks of {context}", f"{size}")
        tokens = np.fromfile(path, "<i4", context * chunks, offset=HEADER)
        if tokens.min() < 0 or tokens.max() >= self.vocabulary or self.vocabulary != tokenizer.vocab_size:
            found = f"ids up to {tokens.max()} of a vocabulary of {self.vocabulary}"
            raise FileFormatError(path, HEADER, f"tokens of the model's {tokenizer.vocab_size}", found)
        self.windows: Windows = cut_ids(tokenizer, tokens, context)
        self.stored = np.memmap(path, "<u2", "r", HEADER + tokens.nbytes, shape)
        mapping.guard(self.stored._mmap, path)  # type: ignore[attr-defined]
        self.path = path
        self.about: dict[str, Any] = {"file": path.name, "clip": CLIP}

    def chunk(self, index: int) -> KldChunk:
        """The stored predictions of chunk `index`. FileFormatError if they are no log-probabilities."""
        mapping.check()
        stored = np.asarray(self.stored[index])
        scale, lowest = stored[:, :4].view("<f4").astype(np.float64).T
        with np.errstate(invalid="ignore"):
            highest = scale * stored[:, 4 : 4 + self.vocabulary].max(1) + lowest
        wrong = np.flatnonzero(~((scale >= 0) & (lowest > -1e3) & (highest < ROUNDING)))
        if len(wrong):
            row = wrong[0]
            at = self.stored.offset + (index * len(stored) + row) * stored[0].nbytes
            found = f"some from {lowest[row]:g} to {highest[row]:g}"
            raise FileFormatError(self.path, int(at), "log-probabilities, which are at most 0", found)
        return KldChunk(stored, self.windows.targets[index], self.vocabulary)


def write(path: Path, engine: Engine, windows: Windows, progress: Progress | None = None) -> None:
    """Run a model over `windows` and write the file, which llama-perplexity can read; in full or not at all."""
    vocabulary, session = engine.config.vocabulary, engine.session()
    with replacing(path) as file:
        file.write(MAGIC + np.array([windows.context, vocabulary, len(windows)], "<i4").tobytes())
        file.write(np.ascontiguousarray(windows.ids, "<i4").tobytes())
        for index, ids in enumerate(windows.ids):
            for logits, _ in scored_logits(session, ids, windows.first):
                file.write(encode(logits).tobytes())
            if progress:
                progress(index + 1, len(windows), "")


def encode(logits: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.uint16]:
    """Rows of the file, in float32 as llama.cpp computes them, from logits (n, vocabulary)."""
    vocabulary = len(logits[0])
    rows = np.zeros((len(logits), (vocabulary + 1) // 2 * 2 + 4), "<u2")
    for row, out in zip(logits, rows, strict=True):
        peak, log_sum = normalizer(row)
        lowest = max(row.min(), np.float32(peak) - np.float32(CLIP))
        scale = (np.float32(peak) - lowest) / np.float32(STEPS)
        out[:4] = np.array([scale, lowest - np.float32(peak) - np.float32(log_sum)], "<f4").view("<u2")
        if scale:
            above = np.maximum(row - lowest, 0) * (np.float32(1) / scale)
            out[4 : 4 + vocabulary] = np.rint(above)
    return rows
