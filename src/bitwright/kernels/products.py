"""Products with float weights in NumPy, forward and backward, that decode some rows of a weight at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.formats import QuantizedTensor
from bitwright.formats.tensor import Shaped
from bitwright.kernels._matmul import dequantize
from bitwright.kernels.ops import Array, Linear
from bitwright.kernels.sharing import Sharing

Weight = Callable[[str, Array | slice | int | None], Array]  # a weight by name, some of its rows, or an expert's matrix

SLICE = 1 << 21  # values that a thread decodes at a time


def decoded(tensor: QuantizedTensor, rows: Array | slice | int | None = None, threads: int | None = 1) -> Array:
    """A tensor, some of its rows, or an expert's matrix, as float32."""
    return dequantize(tensor.format, tensor.data if rows is None else tensor.data[rows], threads)


@dataclass(frozen=True)
class Stacked:
    """A weight (experts, rows, columns) as an op sees it; an expert's matrix is decoded when it is asked for."""

    shape: tuple[int, ...]
    matrix: Callable[[int], Array]

    def __getitem__(self, expert: int) -> Array:
        return self.matrix(expert)


class Products:
    """`weight(name, rows)` gives a weight as floats, in full if `rows` is None, and `shapes` the shape of each. Each
    thread of `sharing` takes some rows of a weight."""

    def __init__(self, shapes: Mapping[str, Shaped], weight: Weight, sharing: Sharing) -> None:
        self.shapes, self.weight, self.sharing = shapes, weight, sharing

    def forward(self, op: Linear, x: Array) -> Array:
        """x @ weight.T + bias."""
        slices = self._slices(op)
        y = np.empty((len(x), slices[-1].stop), x.dtype)

        def work(part: slice) -> None:
            for rows in slices[part]:
                np.matmul(x, self.weight(op.weight, rows).T, out=y[:, rows])

        self.sharing.map(work, len(slices))
        if op.bias is not None:
            y += self.weight(op.bias, None)
        return y

    def backward(self, op: Linear, y: Array) -> Array:
        """y @ weight, the gradient at the input for that at the output."""
        slices = self._slices(op)

        def work(part: slice) -> Array:
            first, *rest = slices[part]
            total: Array = y[:, first] @ self.weight(op.weight, first)
            for rows in rest:
                total += y[:, rows] @ self.weight(op.weight, rows)
            return total

        total, *others = self.sharing.map(work, len(slices))
        for other in others:
            total += other
        return total

    def _slices(self, op: Linear) -> list[slice]:
        """Rows of the weight: not too many, and as many for each thread."""
        rows, columns = self.shapes[op.weight].shape
        count = -(-rows * columns // (SLICE * self.sharing.threads)) * self.sharing.threads
        ends = [rows * i // count for i in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(ends) if pair[0] < pair[1]]
