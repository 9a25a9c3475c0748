"""Statistics of values, against NumPy and plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.measure import values as module
from bitwright.measure.values import summarize


def test_moments_of_known_distributions() -> None:
    rng = np.random.default_rng(1)
    normal = rng.normal(2, 3, (200, 500)).astype(np.float32)
    found = summarize(normal)
    assert found.mean == pytest.approx(normal.mean(dtype=np.float64))
    assert found.standard_deviation == pytest.approx(normal.std(dtype=np.float64))
    assert found.kurtosis == pytest.approx(3, abs=0.1)
    assert summarize(rng.uniform(-1, 1, 100_000).astype(np.float32)).kurtosis == pytest.approx(1.8, abs=0.05)


def test_outliers_are_the_farthest_from_the_mean_in_order() -> None:
    values = np.random.default_rng(2).normal(0, 1, (64, 64)).astype(np.float32)
    values[3, 5], values[60, 0], values[0, 63] = 50, -40, 30
    found = summarize(values, outliers=3).outliers
    assert [o.index for o in found] == [(3, 5), (60, 0), (0, 63)]
    assert [o.value for o in found] == [50, -40, 30]
    assert found[1].deviations == pytest.approx((-40 - values.mean()) / values.std(), rel=1e-5)


def test_non_finite_values_are_counted_and_left_out() -> None:
    values = np.array([0, 1, np.nan, -1, np.inf, 0], np.float32)
    found = summarize(values)
    assert (found.count, found.not_finite, found.zeros) == (6, 2, 2)
    assert (found.minimum, found.maximum, found.mean) == (-1, 1, 0)
    assert found.histogram.sum() == 4
    assert {o.index for o in found.outliers} == {(0,), (1,), (3,), (5,)}


def test_constant_and_all_nan_tensors() -> None:
    same = summarize(np.full((4, 4), 0.5, np.float32))
    assert math.isnan(same.kurtosis) and same.standard_deviation == 0 and same.outliers[0].deviations == 0
    nothing = summarize(np.full(3, np.nan, np.float32))
    assert nothing.not_finite == 3 and nothing.outliers == () and nothing.histogram.sum() == 0


def test_the_largest_float32s_overflow_nothing() -> None:
    huge = np.finfo(np.float32).max
    found = summarize(np.array([-huge, 0, huge, huge, np.inf], np.float32), outliers=1, bins=3)
    assert found.histogram.tolist() == [1, 1, 2] and found.edges[0] == -huge and found.edges[-1] == huge
    assert found.mean == pytest.approx(float(huge) / 4) and found.outliers[0].index == (0,)


def test_a_histogram_covers_the_range() -> None:
    values = np.linspace(-2, 6, 1000, dtype=np.float32)
    found = summarize(values, bins=8)
    assert (found.edges[0], found.edges[-1]) == (-2, 6)
    assert found.histogram.tolist() == [125] * 8


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).standard_t(3, (50, 41)).astype(np.float32)
    values[7, :20] = np.nan
    whole = summarize(values)
    monkeypatch.setattr(module, "SLICE", 100)
    parts = summarize(values)
    assert [(o.index, o.value) for o in parts.outliers] == [(o.index, o.value) for o in whole.outliers]
    assert parts.histogram.tolist() == whole.histogram.tolist()
    for name in ("mean", "standard_deviation", "kurtosis"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-12)


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, -np.finfo(np.float32).max, 1e17, 3.0, 0.0])
def test_equal_values_of_any_size_have_a_histogram(value: float) -> None:
    found = summarize(np.full((4, 8), value, np.float32))
    assert found.minimum == found.maximum == np.float32(value) and found.histogram.sum() == 32
    assert np.isfinite(found.edges).all() and (np.diff(found.edges) > 0).all()


def test_neighbouring_floats_have_a_histogram() -> None:
    top = np.finfo(np.float32).max
    found = summarize(np.array([top, np.nextafter(top, np.float32(0)), -top], np.float32))
    assert found.histogram.sum() == 3
    found = summarize(np.array([top, np.nextafter(top, np.float32(0))], np.float32))
    assert found.histogram.sum() == 2 and (np.diff(found.edges) > 0).all()
