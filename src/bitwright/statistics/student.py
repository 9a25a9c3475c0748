"""Student's t: the tail of its distribution, and the test of a mean of few values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def above(t: float, freedom: int) -> float:
    """The probability that Student's t with `freedom` degrees exceeds `t` (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    between = (angle + sine * total) * 2 / math.pi if odd else sine * total  # the probability of -t to t
    return min(1.0, max(0.0, (1 - between) / 2))


def mean_above(values: ArrayLike, zero: float = 0.0) -> float:
    """The p value of the mean of `values` (n,) exceeding `zero`: small if it clearly does. 1 for fewer than two values;
    0 or 1 if all are alike.

    Exact for independent values from a normal distribution. For mixtures of normal distributions of one mean, which
    have heavier tails, a p value of up to 0.1 is too large if anything (Benjamini, Annals of Statistics 11 (1983)).
    """
    v = np.asarray(values, np.float64).ravel() - zero
    if len(v) < 2:
        return 1.0
    mean, error = float(v.mean()), float(v.std(ddof=1)) / math.sqrt(len(v))
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return above(mean / error, len(v) - 1)
