"""A tensor as it is stored: a name, a shape, a format and the bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.formats.format import Format


class Shaped(Protocol):
    """Anything with a shape, in NumPy order."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class HasShape(Shaped, Protocol):
    """A tensor's name and shape."""

    @property
    def name(self) -> str: ...


class HasValues(HasShape, Protocol):
    def dequantize(self) -> NDArray[np.float32]: ...


class HasFormat(HasShape, Protocol):
    @property
    def format(self) -> Format: ...


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """shape is in NumPy order, (rows, columns) for a weight; data is uint8 (..., row bytes), C order, perhaps a view of
    a mapped file. Raises UsageError if data does not match shape and format."""

    name: str
    shape: tuple[int, ...]
    format: Format
    data: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if not self.shape:
            raise UsageError(f"tensor {self.name}: expected at least one dimension, got shape ()")
        expected = (*self.shape[:-1], self.format.row_bytes(self.shape[-1]))
        if self.data.dtype != np.uint8 or self.data.size != math.prod(expected) or not self.data.flags.c_contiguous:
            raise UsageError(
                f"tensor {self.name}: expected contiguous uint8 data of shape {expected} for {self.shape} "
                f"in {self.format.name}, got {self.data.dtype} {self.data.shape}"
            )
        object.__setattr__(self, "data", self.data.reshape(expected))

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.nbytes / max(1, math.prod(self.shape))

    def dequantize(self) -> NDArray[np.float32]:
        """The weights as float32, of shape `shape`."""
        return self.format.dequantize(self.data)

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape} {self.format.name}>"
