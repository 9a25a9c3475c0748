"""Expanded percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_studentized import paired

from bitwright.statistics import percentile
from bitwright.statistics.interval import FEWEST, LEVEL

EXPERIMENTS = 2000


@pytest.mark.parametrize("clusters", [FEWEST, 24])
def test_coverage(clusters: int) -> None:
    """For paired differences of skewed values; the share of 2000 intervals has a standard deviation of 0.5%."""
    random, hits = np.random.default_rng(clusters), 0
    for _ in range(EXPERIMENTS):
        sums, sizes = paired(random, clusters)
        hits += np.prod(np.array(percentile.ratio(sums, sizes, np.arange(clusters)).ends) - 1) <= 0
    assert hits / EXPERIMENTS == pytest.approx(LEVEL, abs=0.02)


def test_ratios_of_documents_that_differ_in_length() -> None:
    """A ratio of sums, not a mean of means."""
    assert percentile.ratio([1.0, 0, 0, 3], [1, 1, 1, 3], np.array([0, 0, 0, 1])).estimate == pytest.approx(4 / 6)
    assert percentile.mean([1.0, math.nan, 3.0], np.array([0, 0, 1])).estimate == 2


def test_an_undefined_statistic_has_no_interval() -> None:
    none = percentile.ratio(np.zeros(20), np.zeros(20), np.arange(20))
    assert math.isnan(none.estimate) and none.ends is None


@pytest.mark.parametrize(("share", "freedom", "table"), [(0.975, 4, 2.776), (0.975, 9, 2.262), (0.995, 29, 2.756)])
def test_student(share: float, freedom: int, table: float) -> None:
    assert percentile.student(share, freedom) == pytest.approx(table, rel=4e-3)
