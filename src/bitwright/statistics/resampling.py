"""Error bars that respect clustering: what belongs together (the prompts of a document) is drawn together.

Statistics that compare two things on the same documents use the same draws for both, which is what pairs them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
LEVEL = 0.95  # of the intervals

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and its interval at LEVEL. Infinite: not reached in what was seen; NaN: nothing tells it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@functools.lru_cache(maxsize=4)
def weights(clusters: int, draws: int = DRAWS, seed: int = 0) -> Float64:
    """How often each cluster is in each draw (draws, clusters); row sums are `clusters`."""
    random = np.random.default_rng(seed)
    return random.multinomial(clusters, np.full(clusters, 1 / clusters), draws).astype(np.float64)


def resampled(w: Float64, sums: Float64) -> Float64:
    """Sums over the clusters of every draw: (draws, clusters) of weights and (clusters, ...) give (draws, ...).

    Without BLAS, whose threads wait for each other much longer than this takes where the engine's threads run too.
    """
    return np.einsum("dc,c...->d...", w, sums)


def estimate(value: ArrayLike, drawn: ArrayLike, clusters: int) -> Estimate:
    """`value` with the interval that its recomputation in every draw (draws,) gives; draws of NaN are left out."""
    finite = np.asarray(drawn, np.float64)
    finite = finite[~np.isnan(finite)]
    low, high = bounds(finite, clusters) if finite.size else (math.nan, math.nan)
    return Estimate(float(np.asarray(value)), float(low), float(high))


def bounds(drawn: Float64, clusters: int) -> Float64:
    """The ends (2, ...) of the interval of a statistic (draws, ...); NaN where there is one cluster only.

    Expanded percentiles (Hesterberg, The American Statistician 69 (2015), section 4.4): plain ones are too narrow by
    sqrt((n - 1) / n) and know no t distribution, which tells with the few dozen documents that are usual here.
    """
    if clusters < 2:
        return np.full((2, *drawn.shape[1:]), math.nan)
    tail = NormalDist().cdf(-math.sqrt(clusters / (clusters - 1)) * student((1 + LEVEL) / 2, clusters - 1))
    last = len(drawn) - 1
    ends = [math.floor(tail * last), math.ceil((1 - tail) * last)]  # never between two draws: one may be infinite
    return np.partition(drawn, ends, axis=0)[ends]


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t (Abramowitz and Stegun, 26.7.5): right to 0.4% from 4 degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def total(values: ArrayLike, clusters: NDArray[np.int64]) -> Float64:
    """Sums of values (n, ...) by cluster, clusters (n,) numbered from 0: (clusters, ...). NaN counts as nothing."""
    array = np.nan_to_num(np.asarray(values, np.float64), nan=0.0)
    sums = np.zeros((int(clusters.max()) + 1, *array.shape[1:]))
    np.add.at(sums, clusters, array)
    return sums


def mean(values: ArrayLike, clusters: NDArray[np.int64], drawn: Float64 | None = None) -> Estimate:
    """Mean of the values (n,) that are not NaN."""
    array = np.asarray(values, np.float64)
    return ratio(array, ~np.isnan(array), clusters, drawn)


def ratio(above: ArrayLike, below: ArrayLike, clusters: NDArray[np.int64], drawn: Float64 | None = None) -> Estimate:
    """sum(above) / sum(below), both (n,): of means, of rates, of lengths."""
    a, b = total(above, clusters), total(below, clusters)
    w = weights(len(a)) if drawn is None else drawn
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimate(np.divide(a.sum(), b.sum()), resampled(w, a) / resampled(w, b), len(a))
