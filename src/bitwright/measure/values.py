"""What one tensor's values look like: range, distribution, and the outliers that make it hard to quantize."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SLICE = 1 << 20  # values at a time


@dataclass(frozen=True)
class Outlier:
    """A value far from the mean: its index, and its distance in standard deviations."""

    index: tuple[int, ...]
    value: float
    deviations: float


@dataclass(frozen=True)
class ValueSummary:
    """Statistics of a tensor's finite values; `not_finite` counts NaN and infinity, which no other figure includes."""

    count: int
    not_finite: int
    zeros: int
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    kurtosis: float  # 3 for a normal distribution; NaN if all values are equal
    outliers: tuple[Outlier, ...]  # largest distance from the mean first
    edges: np.ndarray  # (bins + 1,)
    histogram: np.ndarray  # (bins,) counts


def summarize(values: np.ndarray, outliers: int = 8, bins: int = 21) -> ValueSummary:
    """A summary of `values`, float32 of any shape, computed in float64 slice by slice because embeddings are large."""
    flat = values.reshape(-1)
    count = zeros = 0
    total, low, high = 0.0, np.inf, -np.inf
    for _, part in _finite(flat):
        count, zeros = count + part.size, zeros + int(np.count_nonzero(part == 0))
        total, low, high = total + part.sum(), min(low, part.min()), max(high, part.max())
    if not count:
        nan = float("nan")
        return ValueSummary(
            flat.size, flat.size, 0, nan, nan, nan, nan, nan, (), np.zeros(bins + 1), np.zeros(bins, int)
        )
    mean = float(total / count)
    beyond = max(0.5, abs(low) / (1 << 20)) if low == high else 0.0  # bins need a width, also around a large value
    edges = np.linspace(low - beyond, high + beyond, bins + 1)
    histogram, squares, fourths = np.zeros(bins, int), 0.0, 0.0
    farthest: list[tuple[float, int]] = []  # (distance from the mean, place)
    for places, part in _finite(flat):
        distance = part - mean
        histogram += np.histogram(part, bins, (edges[0], edges[-1]))[0]
        squares, fourths = squares + (distance**2).sum(), fourths + (distance**4).sum()
        np.abs(distance, out=distance)
        kept = np.argpartition(distance, -min(outliers, part.size))[-outliers:]
        farthest += zip(distance[kept].tolist(), places[kept].tolist(), strict=True)
    deviation = float(squares / count) ** 0.5
    found = []
    for _, place in sorted(farthest, key=lambda item: (-item[0], item[1]))[:outliers]:
        index = tuple(int(i) for i in np.unravel_index(place, values.shape))
        value = float(flat[place])
        found.append(Outlier(index, value, (value - mean) / deviation if deviation else 0.0))
    return ValueSummary(
        count=flat.size,
        not_finite=flat.size - count,
        zeros=zeros,
        minimum=float(low),
        maximum=float(high),
        mean=mean,
        standard_deviation=deviation,
        kurtosis=float(fourths / count) / deviation**4 if deviation else float("nan"),
        outliers=tuple(found),
        edges=edges,
        histogram=histogram,
    )


def _finite(flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The finite values of `flat` (n,) in slices: their indices, int64, and values, float64."""
    for start in range(0, flat.size, SLICE):
        part = flat[start : start + SLICE].astype(np.float64)
        places = np.flatnonzero(np.isfinite(part))
        if places.size:
            yield places + start, part[places]
