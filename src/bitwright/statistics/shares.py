"""The interval of a share of independent yes-or-no outcomes."""

from __future__ import annotations

import math
from statistics import NormalDist

from bitwright.statistics.interval import FEWEST, LEVEL, Interval

METHOD = "Wilson score"


def share(hits: int, count: int, of: str) -> Interval:
    """`hits` of `count` outcomes (Wilson, JASA 22 (1927)). Unlike a bootstrap, it has width where all are alike: none
    of 60 may still be one of 17."""
    if count < FEWEST:
        return Interval(hits / count if count else math.nan, None, count, METHOD, of)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    p, below = hits / count, 1 + z * z / count
    centre = (p + z * z / (2 * count)) / below
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / below
    ends = (centre - half if hits else 0.0, centre + half if hits < count else 1.0)
    return Interval(p, ends, count, METHOD, of)
