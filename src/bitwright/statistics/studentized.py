"""The studentized bootstrap over clusters: intervals of means.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5. Every draw of clusters gives a t value (its
mean minus the sample's, over its own standard error), and quantiles of those replace Student's. For skewed sums, such
as divergences, and a few dozen documents, such intervals cover the truth about as often as they claim; plain
percentiles of the drawn means do not. The sample's standard error is the jackknife's, which allows for clusters of
unequal size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bitwright.statistics import resampling
from bitwright.statistics.interval import FEWEST, LEVEL, Interval
from bitwright.statistics.resampling import Float64

METHOD = "studentized bootstrap"
SEED = 20
BATCH = 1 << 22  # weights drawn at a time


def mean(
    values: ArrayLike, clusters: ArrayLike, of: str = "documents", level: float = LEVEL, seed: int = SEED
) -> Interval:
    """The mean of `values` (n,); values with the same number in `clusters` (n,) belong together."""
    v, names = np.asarray(values, np.float64).ravel(), np.asarray(clusters).ravel()
    _, members = np.unique(names, return_inverse=True)
    sums, sizes = np.bincount(members, v), np.bincount(members)
    return ratio(sums.astype(np.float64), sizes.astype(np.float64), of, level, seed)


def ratio(sums: Float64, sizes: Float64, of: str = "documents", level: float = LEVEL, seed: int = SEED) -> Interval:
    """sum(sums) / sum(sizes), from the sum and the size of each cluster (clusters,)."""
    count, estimate = len(sums), float(sums.sum() / sizes.sum())

    def interval(ends: tuple[float, float] | None) -> Interval:
        return Interval(estimate, ends, count, METHOD, of, level)

    if count < FEWEST:
        return interval(None)
    error = float(np.sqrt((((sums - estimate * sizes) / (sizes.sum() - sizes)) ** 2).sum() * (count - 1) / count))
    if error == 0:
        return interval((estimate, estimate))
    below, above = np.quantile(_t_values(sums, sizes, estimate, error, seed), [(1 - level) / 2, (1 + level) / 2])
    return interval((float(estimate - above * error), float(estimate - below * error)))


def _t_values(sums: Float64, sizes: Float64, mean: float, error: float, seed: int) -> Float64:
    """(mean of a draw - mean) / (standard error of the draw), for each draw. A draw without any spread (because the
    counted event is rare and in none of its clusters) takes the sample's `error`."""
    count, found = len(sums), []
    batches = max(1, resampling.DRAWS * count // BATCH)
    for batch in range(batches):
        weights = resampling.weights(count, resampling.DRAWS // batches, seed + batch)
        total = weights @ sizes
        means = weights @ sums / total
        squares = weights @ sums**2 - 2 * means * (weights @ (sums * sizes)) + means**2 * (weights @ sizes**2)
        errors = np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / total
        found.append((means - mean) / np.where(errors > 0, errors, error))
    return np.concatenate(found)
