"""What the error of a quantized tensor costs, in the measure that feedback minimizes."""

from __future__ import annotations

import numpy as np

from bitwright import kernels
from bitwright.formats import QuantizedTensor
from bitwright.quantizers.quantizer import Quantizer

SLICE = 1 << 22  # values dequantized at a time


def objective(source: QuantizedTensor, built: QuantizedTensor, quantizer: Quantizer) -> float:
    """tr(E H E') of the error E of `built`, with the damped second moments H of the tensor's inputs; without them the
    squared error, each column weighted by its importance if that is known."""
    columns, statistics, threads = source.shape[-1], quantizer.statistics, quantizer.threads
    hessians = quantizer.hessians.damped(source.name) if quantizer.hessians else []
    importance = statistics.importance(source.name) if statistics else None
    weights = list(hessians or (importance if importance is not None else np.ones((1, columns), np.float32)))
    before, after = (t.data.reshape(-1, t.data.shape[-1]) for t in (source, built))
    rows, total = len(before) // len(weights), 0.0
    step = max(1, SLICE // columns)
    for matrix, weight in enumerate(weights):
        for start in range(matrix * rows, (matrix + 1) * rows, step):
            part = slice(start, min(start + step, (matrix + 1) * rows))
            error = kernels.dequantize(source.format, before[part], threads)
            error -= kernels.dequantize(built.format, after[part], threads)
            weighted = error @ weight if weight.ndim == 2 else error * weight
            total += float(np.multiply(weighted, error, out=error).sum(dtype=np.float64))
    return total
