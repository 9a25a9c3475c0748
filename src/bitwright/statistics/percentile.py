"""Expanded percentiles of the bootstrap over clusters: intervals of any statistic that can be computed from a draw.

Hesterberg, The American Statistician 69 (2015), section 4.4. Plain percentiles are too narrow by sqrt((n - 1) / n) and
ignore the t distribution, which matters with the usual few dozen documents; the tails are widened for
both. Two measures on the same clusters are paired by using the same draws for both (`resampling`).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.statistics import resampling
from bitwright.statistics.interval import FEWEST, LEVEL, Interval
from bitwright.statistics.resampling import Float64

METHOD = "percentile bootstrap"


def interval(estimate: ArrayLike, drawn: ArrayLike, clusters: int, of: str = "documents") -> Interval:
    """A statistic with its interval from the values of all draws (draws,); draws without a value (NaN) are left out."""
    values = np.asarray(drawn, np.float64)
    values = values[~np.isnan(values)]
    found = band(values, clusters) if values.size else None
    ends = None if found is None else (float(found[0]), float(found[1]))
    return Interval(float(np.asarray(estimate)), ends, clusters, METHOD, of)


def band(drawn: Float64, clusters: int) -> Float64 | None:
    """The ends (2, ...) of the intervals of statistics (draws, ...); None if there are too few clusters."""
    if clusters < FEWEST:
        return None
    tail = NormalDist().cdf(-math.sqrt(clusters / (clusters - 1)) * student((1 + LEVEL) / 2, clusters - 1))
    last = len(drawn) - 1
    ends = [math.floor(tail * last), math.ceil((1 - tail) * last)]  # never between two draws: one may be infinite
    return np.partition(drawn, ends, axis=0)[ends]


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t (Abramowitz and Stegun, 26.7.5), within 0.4% for 4 or more degrees of freedom."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def mean(values: ArrayLike, clusters: NDArray[np.int64], of: str = "documents") -> Interval:
    """Mean of the values (n,) that are not NaN, clusters (n,) numbered from 0."""
    array = np.asarray(values, np.float64)
    return ratio(array, ~np.isnan(array), clusters, of)


def ratio(above: ArrayLike, below: ArrayLike, clusters: NDArray[np.int64], of: str = "documents") -> Interval:
    """sum(above) / sum(below), both (n,), clusters (n,) numbered from 0."""
    a, b = resampling.total(above, clusters), resampling.total(below, clusters)
    w = resampling.weights(len(a))
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = resampling.resampled(w, a) / resampling.resampled(w, b)
        return interval(np.divide(a.sum(), b.sum()), drawn, len(a), of)
