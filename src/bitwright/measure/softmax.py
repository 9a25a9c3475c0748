"""Log-probabilities in float64: float32's error would be as large as the differences being measured."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError


def normalizer(row: NDArray[np.float32]) -> tuple[float, float]:
    """The largest of the logits (vocabulary,), and log(sum(exp(logits - largest))).

    They are separate because logits may be large and differences small: log-probability = (logit - largest) - log-sum.
    Raises BitwrightError if the logits are not finite numbers.
    """
    peak = float(row.max())
    if not math.isfinite(peak):
        raise BitwrightError(f"the model computed {peak} as a logit: its weights are damaged")
    return peak, math.log(np.exp(row.astype(np.float64) - peak).sum())


def log_probabilities(row: NDArray[np.float32]) -> NDArray[np.float64]:
    """log softmax of logits (vocabulary,)."""
    peak, log_sum = normalizer(row)
    return (row.astype(np.float64) - peak) - log_sum


def negative_log_likelihoods(logits: NDArray[np.float32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    """-log softmax(logits)[target] of each row (rows, vocabulary), in nats."""
    result = np.empty(len(logits))
    for index, (row, target) in enumerate(zip(logits, targets, strict=True)):
        peak, log_sum = normalizer(row)
        result[index] = log_sum - (float(row[target]) - peak)
    return result
