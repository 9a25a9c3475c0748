"""Student's t against tables and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.statistics import student

# Quantiles with a tail of 5%, 1% and 0.1% (Abramowitz and Stegun, table 26.10).
TABLE = [
    (1, 6.314, 31.821, 318.309),
    (2, 2.920, 6.965, 22.327),
    (3, 2.353, 4.541, 10.215),
    (10, 1.812, 2.764, 4.144),
    (29, 1.699, 2.462, 3.396),
    (120, 1.658, 2.358, 3.160),
]


@pytest.mark.parametrize(("freedom", "t5", "t1", "t01"), TABLE)
def test_tails_are_those_of_the_table(freedom: int, t5: float, t1: float, t01: float) -> None:
    for t, tail in ((t5, 0.05), (t1, 0.01), (t01, 0.001), (0.0, 0.5)):
        assert student.above(t, freedom) == pytest.approx(tail, rel=2e-3)
        assert student.above(-t, freedom) == pytest.approx(1 - tail, rel=2e-3)


def test_p_values_of_normal_values_are_uniform() -> None:
    values = np.random.default_rng(0).normal(3, 5, (4000, 5))
    p = np.sort([student.mean_above(v, 3.0) for v in values])
    assert np.abs(p - np.linspace(0, 1, len(p))).max() < 1.63 / np.sqrt(len(p))  # Kolmogorov's 1%


def test_values_that_say_nothing_or_all() -> None:
    assert student.mean_above([2.0]) == 1
    assert student.mean_above([0.0, 0.0]) == 1
    assert student.mean_above([0.5, 0.5, 0.5]) == 0
