"""Importance: the mean square of every column that a weight is multiplied by (llama.cpp's imatrix).

It is the diagonal of the layer's Hessian: an error in a column whose inputs are large costs more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError


class HasShape(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Gathered:
    """Of one weight: `sums` float64 (matrices, columns) of squares, over `counts` (matrices,) tokens. A weight is one
    matrix, or one for each of its experts."""

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def importance(self) -> NDArray[np.float32]:
        """Mean squares (matrices, columns); ones for an expert that no token reached, as llama.cpp has it."""
        reached = self.counts[:, None] > 0
        return np.where(reached, self.sums / np.maximum(self.counts, 1)[:, None], 1).astype(np.float32)


@dataclass(frozen=True)
class Statistics:
    """What was gathered for each weight by name, and from what: the names of texts, and chunks of so many tokens."""

    gathered: dict[str, Gathered]
    texts: tuple[str, ...] = ()
    chunks: int = 0
    chunk_tokens: int = 512

    def check(self, tensors: Mapping[str, HasShape], source: object) -> None:
        """Raises BitwrightError, naming `source` and the tensor, where these are not statistics of such a model."""
        known = self.gathered.keys() & tensors.keys()
        if not known:
            names = f"{min(self.gathered)}, ..." if self.gathered else "nothing"
            raise BitwrightError(f"{source}: expected statistics of this model's tensors, got {names}")
        for name in sorted(known):
            shape, got = tensors[name].shape, self.gathered[name].sums.shape
            expected = (shape[0] if len(shape) == 3 else 1, shape[-1])
            if got != expected:
                raise BitwrightError(f"{source}: {name} needs statistics of shape {expected}, got {got}")

    def importance(self, name: str) -> NDArray[np.float32] | None:
        """Mean squares (matrices, columns) of a weight's inputs, or None where none were gathered."""
        return self.gathered[name].importance if name in self.gathered else None
