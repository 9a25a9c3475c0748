"""What the error of a quantized tensor costs, in the measure that feedback minimizes."""

from __future__ import annotations

import numpy as np

from bitwright import kernels
from bitwright.formats import QuantizedTensor
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.quantizers.quantizer import Quantizer

SLICE = 1 << 20  # values dequantized at a time


def objective(source: QuantizedTensor, built: QuantizedTensor, quantizer: Quantizer) -> float:
    """tr(E H E') of the error E of `built`, with the damped second moments H of the tensor's inputs; without them the
    squared error, each column weighted by its importance if that is known. It does not depend on the threads."""
    columns, statistics = source.shape[-1], quantizer.statistics
    hessians = quantizer.hessians.damped(source.name) if quantizer.hessians else []
    importance = statistics.importance(source.name) if statistics else None
    weights = list(hessians or (importance if importance is not None else np.ones((1, columns), np.float32)))
    before, after = (t.data.reshape(-1, t.data.shape[-1]) for t in (source, built))
    rows, step = len(before) // len(weights), max(1, SLICE // columns)
    starts = [(matrix, start) for matrix in range(len(weights)) for start in range(0, rows, step)]

    def of(part: slice) -> list[float]:
        return [one(*place) for place in starts[part]]

    def one(matrix: int, start: int) -> float:
        part = slice(matrix * rows + start, matrix * rows + min(start + step, rows))
        error = kernels.dequantize(source.format, before[part], 1)
        error -= kernels.dequantize(built.format, after[part], 1)
        weight = weights[matrix]
        weighted = error @ weight if weight.ndim == 2 else error * weight
        return float(np.multiply(weighted, error, out=error).sum(dtype=np.float64))

    with single_blas():
        return sum(value for part in Sharing(quantizer.threads).map(of, len(starts)) for value in part)
