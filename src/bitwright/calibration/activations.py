"""Statistics of a model's activations on a calibration set: importance, second moments and gradients per weight.

Importance is the mean squared activation of each input column (llama.cpp's imatrix), the diagonal of the layer's
Hessian: an error costs more in a column whose inputs are large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration.moments import Provenance, SecondMoment
from bitwright.errors import BitwrightError
from bitwright.formats.tensor import HasShape


@dataclass(frozen=True)
class SquareSums:
    """The squared inputs of one weight, summed: `sums` (matrices, columns) over `counts` (matrices,) tokens. A weight
    has one matrix, or one for each expert."""

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def importance(self) -> NDArray[np.float32]:
        """Mean squares (matrices, columns). An expert that no token reached gets the mean of the others, or ones."""
        found = (self.sums / np.maximum(self.counts, 1)[:, None]).astype(np.float32)
        reached = self.counts > 0
        found[~reached] = found[reached].mean(axis=0) if reached.any() else 1
        return found

    @property
    def unreached(self) -> list[int]:
        """The experts that no token reached."""
        return np.flatnonzero(self.counts == 0).tolist()

    def split(self, shape: tuple[int, ...]) -> SquareSums:
        """One row that holds all matrices of a weight of this shape, one after the other, as one row for each."""
        if len(shape) != 3 or self.sums.shape != (1, shape[0] * shape[-1]):
            return self
        return SquareSums(self.sums.reshape(shape[0], -1), np.repeat(self.counts, shape[0]))


@dataclass(frozen=True, repr=False)
class ActivationStatistics:
    """Statistics for each weight by name, gathered over `chunks` chunks of `chunk_tokens` tokens from the named texts.

    `moments` are read from their file when used. `sensitivities` holds, for each weight, the mean squared gradients at
    its outputs (matrices, outputs). The gradients are those of log p, summed over a chunk, where p is the probability
    of a label drawn from the model's own prediction.
    """

    squares: dict[str, SquareSums]
    texts: tuple[str, ...] = ()
    chunks: int = 0
    chunk_tokens: int = 512
    moments: tuple[SecondMoment, ...] = ()
    sensitivities: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __repr__(self) -> str:
        moments = f", {len(self.moments)} second moments" if self.moments else ""
        read = f"{self.chunks} chunks of {self.chunk_tokens} tokens"
        return f"<ActivationStatistics of {len(self.squares)} weights{moments}, over {read}>"

    def fitted(self, tensors: Mapping[str, HasShape], source: object) -> ActivationStatistics:
        """The statistics for these tensors; raises BitwrightError, naming `source` and the tensor, if they do not fit.

        An imatrix .dat does not say how many matrices a weight has: one row of all experts is split.
        """
        squares = {n: own.split(tensors[n].shape) if n in tensors else own for n, own in self.squares.items()}
        widths = {name: own.sums.shape for name, own in squares.items()}
        moments = {name: (m.matrices, m.columns) for m in self.moments for name in m.weights}
        if not (widths.keys() | moments.keys()) & tensors.keys():
            names = f"{min(self.squares)}, ..." if self.squares else "nothing"
            raise BitwrightError(f"{source}: expected statistics of this model's tensors, got {names}")
        for kind, found in (("statistics", widths), ("second moments", moments)):
            for name in sorted(found.keys() & tensors.keys()):
                shape, got = tensors[name].shape, found[name]
                expected = (shape[0] if len(shape) == 3 else 1, shape[-1])
                if got != expected:
                    raise BitwrightError(f"{source}: {name} needs {kind} of shape {expected}, got {got}")
        return replace(self, squares=squares)

    def importance(self, name: str) -> NDArray[np.float32] | None:
        """The mean squares (matrices, columns) of a weight's inputs; None if none were gathered."""
        return self.squares[name].importance if name in self.squares else None

    def tokens(self, name: str) -> NDArray[np.int64]:
        """How many tokens (matrices,) the statistics of a weight come from."""
        moment = self.moment(name)
        read = np.full(moment.matrices if moment else 1, self.provenance.tokens)
        return self.squares[name].counts if name in self.squares else read

    def moment(self, name: str) -> SecondMoment | None:
        """The second moments of a weight's inputs, not read yet. Weights with the same input share them."""
        return next((m for m in self.moments if name in m.weights), None)

    def hessian(self, name: str) -> NDArray[np.float32] | None:
        """The second moments (matrices, columns, columns) of a weight's inputs, read now and weighted as `SecondMoment`
        says; None if none were gathered. Raises FileFormatError for a damaged file."""
        moment = self.moment(name)
        return None if moment is None else moment.matrix()

    def sensitivity(self, name: str) -> NDArray[np.float32] | None:
        """The mean squared gradients (matrices, outputs) at a weight's outputs; None if none were gathered."""
        return self.sensitivities.get(name)
