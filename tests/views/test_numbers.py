"""Numbers as they are printed."""

from __future__ import annotations

import pytest

from bitwright.cli.intervals import decimal, divergence
from bitwright.statistics.interval import Interval
from bitwright.views.numbers import fixed, nats


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.23919, "0.23919"), (1.5, "1.50000"), (-0.0, "0"), (1.2e-6, "1.2e-06"), (-3e-9, "-3.0e-09")],
)
def test_a_small_divergence_is_not_zero(value: float, shown: str) -> None:
    assert nats(value) == shown


def test_zero_has_no_sign() -> None:
    assert fixed(-4e-6, 5) == "0.00000" and fixed(-0.0, 2) == "0.00" and fixed(-0.015, 2) == "-0.01"
    around = Interval(-1e-7, (-2e-7, 1e-7), 20, "")
    assert decimal(around, 4) == ("0.0000", "0.0000 to 0.0000") and divergence(around)[0] == "-1.0e-07"
