"""Texts as vectors: what a model knows after each token, pooled over the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine

PIECE = 64  # tokens read in a step: whoever shares the processor waits for one
# llama.cpp's numbers for the key pooling_type (llama.h: llama_pooling_type). A file that says none gets the mean.
POOLING = {0: "mean", 1: "mean", 2: "first", 3: "last"}


class Embedder:
    """Turns texts into vectors of the model's width and of length 1: of the outputs of the last layer after the final
    norm, the mean over all tokens, or the first or last if the file's `pooling_type` says so.

    Shares the engine's packed weights. Not for use from two threads at once. UnsupportedError for another pooling.
    """

    def __init__(self, engine: Engine) -> None:
        pooling = engine.model.metadata.get(f"{engine.config.architecture}.pooling_type", 0)
        if not isinstance(pooling, int) or pooling not in POOLING:
            raise UnsupportedError("pooling_type", pooling, (f"{id} ({name})" for id, name in POOLING.items()))
        self.pooling, self.context, self.width = POOLING[pooling], engine.context, engine.config.width
        program, piece = engine.program().headless(), min(PIECE, engine.context)
        self._memory = engine.backend.memory(program, engine.context, 1, piece, engine.options.kv)
        self._executor = engine.backend.executor(program, piece)

    def __call__(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The vector (width,) of a text. UsageError if it is empty or longer than the context."""
        if not 1 <= len(ids) <= self.context:
            raise UsageError(f"expected a text of 1 to {self.context} tokens, got {len(ids)}")
        wanted = {"mean": range(len(ids)), "first": range(1), "last": range(len(ids) - 1, len(ids))}[self.pooling]
        total = np.zeros(self.width)
        try:
            for start in range(0, len(ids), self._executor.batch):
                own = ids[start : start + self._executor.batch]
                n = np.arange(len(own))
                outputs = [i for i in n if start + i in wanted]
                rows = self._executor.run(self._memory, own, start + n, 0 * n, outputs)
                total += rows.sum(0, dtype=np.float64)
        finally:
            self._memory.evict(0)
        return (total / np.linalg.norm(total)).astype(np.float32)
