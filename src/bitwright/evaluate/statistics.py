"""What one tensor's values look like: range, distribution, and the outliers that make it hard to quantize."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outlier:
    """A value far from the mean: where it stands, and how many standard deviations away it lies."""

    index: tuple[int, ...]
    value: float
    deviations: float


@dataclass(frozen=True)
class Statistics:
    """Statistics of a tensor's finite values; `not_finite` counts NaN and infinity, which no other figure includes."""

    count: int
    not_finite: int
    zeros: int
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    kurtosis: float  # 3 for a normal distribution; NaN where every value is equal
    outliers: tuple[Outlier, ...]  # largest distance from the mean first
    edges: np.ndarray  # (bins + 1,)
    histogram: np.ndarray  # (bins,) counts


def statistics(values: np.ndarray, outliers: int = 8, bins: int = 21) -> Statistics:
    """Statistics of `values`, any shape. The moments are summed in float64, whatever the values are stored in."""
    finite = np.isfinite(values)
    kept = values[finite] if not finite.all() else values.reshape(-1)
    if kept.size == 0:
        nan = float("nan")
        return Statistics(
            values.size, values.size, 0, nan, nan, nan, nan, nan, (), np.zeros(bins + 1), np.zeros(bins, int)
        )
    exact = kept.astype(np.float64)
    mean = float(exact.mean())
    distance = exact - mean
    variance = float(np.mean(distance**2))
    kurtosis = float(np.mean(distance**4)) / variance**2 if variance > 0 else float("nan")
    histogram, edges = np.histogram(exact, bins=bins)
    return Statistics(
        count=values.size,
        not_finite=int(values.size - kept.size),
        zeros=int(np.count_nonzero(kept == 0)),
        minimum=float(kept.min()),
        maximum=float(kept.max()),
        mean=mean,
        standard_deviation=variance**0.5,
        kurtosis=kurtosis,
        outliers=_outliers(values, finite, distance, variance**0.5, outliers),
        edges=edges,
        histogram=histogram,
    )


def _outliers(
    values: np.ndarray, finite: np.ndarray, distance: np.ndarray, deviation: float, count: int
) -> tuple[Outlier, ...]:
    """The `count` finite values of the largest `distance` from the mean, float64 (finite values,)."""
    size = np.abs(distance)
    count = min(count, size.size)
    largest = np.argpartition(size, size.size - count)[size.size - count :]
    largest = largest[np.argsort(-size[largest], kind="stable")]
    found = []
    for place, flat in zip(largest, np.flatnonzero(finite)[largest], strict=True):
        index = tuple(int(i) for i in np.unravel_index(flat, values.shape))
        found.append(Outlier(index, float(values[index]), float(distance[place]) / deviation if deviation > 0 else 0.0))
    return tuple(found)
