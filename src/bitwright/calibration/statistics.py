"""Importance: the mean square of every column that a weight is multiplied by (llama.cpp's imatrix).

It is the diagonal of the layer's Hessian: an error in a column whose inputs are large costs more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.moments import Moment, Provenance
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
    """What was gathered for each weight by name, and from what: the names of texts, and chunks of so many tokens.

    `moments` are second moments, read when asked for. `sensitivities` are, by weight, the mean squares of the gradients
    at its outputs (matrices, outputs): of log p(a label drawn from the model's own prediction), summed over a chunk.
    """

    gathered: dict[str, Gathered]
    texts: tuple[str, ...] = ()
    chunks: int = 0
    chunk_tokens: int = 512
    moments: tuple[Moment, ...] = ()
    sensitivities: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def check(self, tensors: Mapping[str, HasShape], source: object) -> None:
        """Raises BitwrightError, naming `source` and the tensor, where these are not statistics of such a model."""
        widths = {name: own.sums.shape for name, own in self.gathered.items()}
        squares = {name: (m.matrices, m.columns) for m in self.moments for name in m.weights}
        if not (widths.keys() | squares.keys()) & tensors.keys():
            names = f"{min(self.gathered)}, ..." if self.gathered else "nothing"
            raise BitwrightError(f"{source}: expected statistics of this model's tensors, got {names}")
        for kind, found in (("statistics", widths), ("second moments", squares)):
            for name in sorted(found.keys() & tensors.keys()):
                shape, got = tensors[name].shape, found[name]
                expected = (shape[0] if len(shape) == 3 else 1, shape[-1])
                if got != expected:
                    raise BitwrightError(f"{source}: {name} needs {kind} of shape {expected}, got {got}")

    def importance(self, name: str) -> NDArray[np.float32] | None:
        """Mean squares (matrices, columns) of a weight's inputs, or None where none were gathered."""
        return self.gathered[name].importance if name in self.gathered else None

    def tokens(self, name: str) -> NDArray[np.int64]:
        """How many were read for each of a weight's matrices."""
        moment = self.moment(name)
        all_of_them = np.full(moment.matrices if moment else 1, self.provenance.tokens)
        return self.gathered[name].counts if name in self.gathered else all_of_them

    def moment(self, name: str) -> Moment | None:
        """The second moments of a weight's inputs, not yet read; weights that read one input have one in common."""
        return next((m for m in self.moments if name in m.weights), None)

    def hessian(self, name: str) -> NDArray[np.float32] | None:
        """The mean of f x x' (matrices, columns, columns) over the tokens' inputs x of a weight, f weighing them with a
        mean of 1 (`Moment`), read from the file now; None where not gathered. FileFormatError where it is damaged."""
        moment = self.moment(name)
        return None if moment is None else moment.matrix()

    def sensitivity(self, name: str) -> NDArray[np.float32] | None:
        """Mean squares of the gradients at a weight's outputs (matrices, outputs); None where not gathered."""
        return self.sensitivities.get(name)
