"""One type and one threshold for both methods."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.statistics import percentile, studentized
from bitwright.statistics.interval import FEWEST, TOO_LITTLE, Interval, verdict


def test_units_and_verdicts() -> None:
    found = Interval(1.0, (0.5, 2.0), 12, "")
    assert found.map(math.exp) == Interval(math.e, (math.exp(0.5), math.exp(2)), 12, "")
    assert (found.low, found.high) == (0.5, 2.0)
    assert found.above(0.4) and not found.above(0.6) and found.below(2.1) and not found.below(1.9)
    assert verdict(found) == "worse" and verdict(Interval(-1, (-2, -0.1), 12, "")) == "better"
    assert verdict(Interval(0.1, (-0.1, 0.3), 12, "")) == "cannot tell"


def test_too_few_clusters_are_a_separate_state() -> None:
    few = Interval(3.0, None, 4, "")
    assert few.low is few.high is None and not few.above(0) and not few.below(9) and verdict(few) == TOO_LITTLE
    assert few.map(math.exp) == Interval(math.exp(3), None, 4, "")


@pytest.mark.parametrize("method", [studentized, percentile])
def test_both_methods_need_as_many_clusters(method) -> None:
    values = np.random.default_rng(0).random(FEWEST)
    enough = method.mean(values, np.arange(FEWEST))
    few = method.mean(values[1:], np.arange(FEWEST - 1))
    assert enough.ends is not None and enough.low < enough.estimate < enough.high
    assert few == Interval(few.estimate, None, FEWEST - 1, method.METHOD)
