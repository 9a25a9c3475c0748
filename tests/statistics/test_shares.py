"""Intervals of shares."""

from __future__ import annotations

import math

import pytest

from bitwright.statistics.shares import share


def test_wilson_intervals() -> None:
    """Against the published example of 15 of 20, and where a bootstrap has no width."""
    found = share(15, 20, "prompts")
    assert found.estimate == 0.75 and found.ends == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert share(0, 60, "prompts").ends == pytest.approx((0, 0.0602), abs=1e-4)
    assert share(60, 60, "prompts").high == 1 and share(60, 60, "prompts").low < 0.95
    assert share(3, 9, "prompts").ends is None and math.isnan(share(0, 0, "prompts").estimate)
