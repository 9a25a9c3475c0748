"""A first estimate of what every format costs in every tensor, from a sample of each tensor's rows.

Rows are encoded one by one, so some rows of a tensor show what a format does to all of it. With the estimates, only
those formats are worth building in full that an allocation near the budget could use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.fit.choices import Choices
from bitwright.formats import Format, QuantizedTensor
from bitwright.quantizers.quantizer import Quantizer

ROWS = 16  # of a tensor
SPANS = 3.0, 2.0, 1.4, 1.0  # how far the price of a byte may move from the first estimate, either way; less is faster
CLOSE = 0.02  # share of a tensor's price by which a format may miss the best


def costs(
    tensor: QuantizedTensor, formats: Sequence[Format], quantizer: Quantizer, sample: int = ROWS
) -> NDArray[np.float64]:
    """The estimated divergence in nats (formats,) that each format adds in a tensor (rows, columns), or (experts, rows,
    columns), from a `sample` of its rows as the quantizer encodes them.

    With second moments H, damped as for error feedback, and mean squared gradients s at the outputs, an error E adds
    half the sum over rows of s E H E', if errors of different outputs are independent (K-FAC, arXiv 1503.05671). Rows
    are sampled in proportion to s. Those of an embedding are looked up, so their mean counts. An expert's means are
    over the tokens that it got, so its errors count only as often. Without gradients, costs can only be compared within
    a tensor.
    """
    stored = tensor.data.reshape(-1, tensor.data.shape[-1])
    statistics, weights, columns = quantizer.statistics, np.ones(len(stored)), tensor.shape[-1]
    experts = tensor.shape[0] if len(tensor.shape) > 2 else 1
    hessians, importance = None, np.ones((experts, columns), np.float32)
    if statistics is not None:
        moment, known = statistics.moment(tensor.name), statistics.importance(tensor.name)
        gradients = statistics.sensitivity(tensor.name)
        importance = importance if known is None else known
        if moment is not None and quantizer.hessians is not None:
            hessians = quantizer.hessians.damped(tensor.name)
        if moment is not None and moment.weighting == "gradient":
            weights /= len(stored)
        elif gradients is not None and gradients.any():
            got = statistics.tokens(tensor.name) / statistics.provenance.tokens if experts > 1 else np.ones(1)
            weights = (gradients.astype(np.float64) * got[:, None]).reshape(-1)
    shares = np.cumsum(weights) / weights.sum()
    chosen, counts = np.unique(np.searchsorted(shares, (np.arange(sample) + 0.5) / sample), return_counts=True)
    total, of = np.zeros(len(formats)), chosen // (len(stored) // experts)
    for expert in np.unique(of).tolist():
        data = np.ascontiguousarray(stored[chosen[of == expert]])
        some = QuantizedTensor(tensor.name, (len(data), columns), tensor.format, data)
        values = _decoded(some, quantizer)
        for index, format in enumerate(formats):
            error = _decoded(quantizer.quantize(some, format, expert), quantizer) - values
            seen = error * importance[expert] if hessians is None else error @ hessians[expert]
            total[index] += np.einsum("ij,ij->i", seen, error) @ counts[of == expert]
    return np.asarray(0.5 * weights.sum() * total / sample)


def _decoded(tensor: QuantizedTensor, quantizer: Quantizer) -> NDArray[np.float32]:
    return kernels.dequantize(tensor.format, tensor.data, quantizer.threads)


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


def shortlist(choices: Choices, budget: int, span: float = SPANS[0]) -> NDArray[np.bool_]:
    """Which formats (tensors, formats) an allocation near the budget could use: the best of their tensor at some price
    of a byte within `span` times the present one, up or down, and those that miss it by little."""
    now, allowed = price(choices, budget), choices.allowed
    kept = np.zeros_like(allowed)
    for factor in np.geomspace(1 / span, span, 13):
        total = np.where(allowed, choices.cost + factor * now * choices.bytes, np.inf)
        least = total.min(axis=1, keepdims=True)
        kept |= total <= least * (1 + CLOSE)
    return kept & allowed
