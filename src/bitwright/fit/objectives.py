"""What a search can make small: a figure of a chunk, from each token's divergence and whether its likeliest is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bitwright.statistics import studentized
from bitwright.statistics.interval import Interval

Float64 = NDArray[np.float64]
TAIL = 0.05  # share of a chunk's tokens that the objective "tail" looks at


def tail(divergences: Float64, same: NDArray[np.bool_]) -> float:
    """The mean divergence of the worst tokens, one in twenty: smoother than the quantile at which they begin."""
    count = max(1, round(TAIL * len(divergences)))
    return float(np.sort(divergences)[-count:].mean())


def divergence(divergences: Float64, same: NDArray[np.bool_]) -> float:
    """One over the expected number of tokens, from any scored position on, up to the first whose likeliest differs.

    Starts after the last difference end with the chunk. They count as tokens read, not as divergences, which is the
    usual estimate of a constant rate from observations that were cut short.
    """
    differ = np.flatnonzero(~same)
    starts = np.arange(len(same))
    nexts = np.append(differ, len(same) - 1)[np.searchsorted(differ, starts)]
    ended = differ[-1] + 1 if len(differ) else 0
    return float(ended / (nexts - starts + 1).sum())


Objective = Callable[[Float64, NDArray[np.bool_]], float]
OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {"mean": lambda divergences, same: float(divergences.mean()), "tail": tail, "divergence": divergence}
)


def over_chunks(figures: Float64) -> Interval:
    """The mean of a figure (chunks,) with its interval."""
    return studentized.mean(figures, np.arange(len(figures)), of="chunks")
