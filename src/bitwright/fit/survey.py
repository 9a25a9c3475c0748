"""A first estimate of what every format costs in every tensor, from a sample of each tensor's rows.

Rows are encoded one by one, so some rows of a tensor show what a format does to all of it. With the estimates, only
those formats are worth building in full that an allocation near the budget could use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.calibration import ActivationStatistics
from bitwright.fit.choices import Choices
from bitwright.formats import Format, QuantizedTensor
from bitwright.quantizers.feedback import damped, supports_feedback
from bitwright.quantizers.tensor import encode_rows, takes_importance

ROWS = 16  # of a tensor
SPAN = 3.0  # how far the price of a byte may move from the first estimate, either way
CLOSE = 0.02  # share of a tensor's price by which a format may miss the best
Float32 = NDArray[np.float32]


def costs(
    tensor: QuantizedTensor,
    formats: Sequence[Format],
    statistics: ActivationStatistics | None = None,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """The estimated divergence in nats (formats,) that each format adds in a tensor (rows, columns), from ROWS rows.

    With second moments H and mean squared gradients s at the outputs, an error E adds half the sum over rows of
    s E H E', if errors of different outputs are independent (K-FAC, arXiv 1503.05671). Rows are sampled in proportion
    to s. Those of an embedding are looked up, so their mean counts. Without gradients, costs can only be compared
    within a tensor.
    """
    rows, columns = tensor.data.reshape(-1, tensor.data.shape[-1]).shape[0], tensor.shape[-1]
    hessian, importance, weights = None, None, np.ones(rows)
    if statistics is not None:
        importance, gradients = statistics.importance(tensor.name), statistics.sensitivity(tensor.name)
        moment = statistics.moment(tensor.name)
        hessian = None if moment is None else moment.matrix()[0]
        if moment is not None and moment.weighting == "gradient":
            weights /= rows
        elif gradients is not None and gradients.any():
            weights = gradients[0].astype(np.float64)
    shares = np.cumsum(weights) / weights.sum()
    chosen, counts = np.unique(np.searchsorted(shares, (np.arange(ROWS) + 0.5) / ROWS), return_counts=True)
    values = _rows(tensor, chosen, threads)
    moments = None
    if hessian is not None and any(supports_feedback(format, columns) for format in formats):
        safe = damped(hessian)
        moments = safe, kernels.factored(safe, threads)
    result = np.empty(len(formats))
    for index, format in enumerate(formats):
        error = _encoded(values, format, moments, importance, threads) - values
        if hessian is not None:
            each = np.einsum("ij,ij->i", error @ hessian, error)
        else:
            each = (error * error) @ (np.ones(columns, np.float32) if importance is None else importance[0])
        result[index] = 0.5 * weights.sum() * float(each @ counts) / ROWS
    return result


def _rows(tensor: QuantizedTensor, chosen: NDArray[np.int64], threads: int | None) -> Float32:
    data = tensor.data.reshape(-1, tensor.data.shape[-1])[chosen]
    return kernels.dequantize(tensor.format, np.ascontiguousarray(data), threads)


def _encoded(
    values: Float32,
    format: Format,
    moments: tuple[Float32, Float32] | None,
    importance: Float32 | None,
    threads: int | None,
) -> Float32:
    """The values as the format holds them. moments: the damped Hessian and its factor."""
    if moments is not None and supports_feedback(format, values.shape[1]):
        data, _ = kernels.feedback(format, values, moments[0], 0, threads, moments[1])
    else:
        weights = importance[0] if importance is not None and takes_importance(format) else None
        data = encode_rows(values, format, weights, threads=threads)
    return kernels.dequantize(format, data, threads)


def price(choices: Choices, budget: int) -> float:
    """Nats per byte at which buying every format that is worth it just fits the budget (a Lagrange multiplier)."""
    low, high = 1e-18, 1e6
    for _ in range(100):
        middle = (low * high) ** 0.5
        bought = np.where(choices.allowed, choices.cost + middle * choices.bytes, np.inf).argmin(axis=1)
        if choices.bytes[np.arange(len(bought)), bought].sum() > budget:
            low = middle
        else:
            high = middle
    return high


def shortlist(choices: Choices, budget: int, span: float = SPAN) -> NDArray[np.bool_]:
    """Which formats (tensors, formats) an allocation near the budget could use: the best of their tensor at some price
    of a byte within `span` times the present one, up or down, and those that miss it by little."""
    now, allowed = price(choices, budget), choices.allowed
    kept = np.zeros_like(allowed)
    for factor in np.geomspace(1 / span, span, 13):
        total = np.where(allowed, choices.cost + factor * now * choices.bytes, np.inf)
        least = total.min(axis=1, keepdims=True)
        kept |= total <= least * (1 + CLOSE)
    return kept & allowed
