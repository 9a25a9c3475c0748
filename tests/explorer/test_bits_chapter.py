"""The chapter on bits: every control does what it says, in the numbers of the formats' declarations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.formats.floats import ElementFormat

ELEMENTS = {f.name: f for f in formats.all() if isinstance(f, ElementFormat)}
SPECIALS = ["zero", "−0", "smallest above zero", "one", "largest"]
BARS = 48


def decoded(name: str, codes: Any) -> np.ndarray:
    """The numbers of codes, as float64."""
    format = ELEMENTS[name]
    storage = {8: np.uint8, 16: np.uint16, 32: np.uint32}[max(8, format.bits)]
    with np.errstate(invalid="ignore"):  # NaNs
        return format.decode(np.asarray(codes, storage).reshape(-1, 1), ()).ravel().astype(np.float64)


def rounded(name: str, values: Any) -> np.ndarray:
    """What values read back as."""
    return decoded(name, ELEMENTS[name].round(np.asarray(values, np.float32).reshape(-1, 1), ()).ravel())


def numbers(name: str) -> np.ndarray:
    """All finite numbers of a format, rising."""
    found = decoded(name, np.arange(1 << ELEMENTS[name].bits))
    return np.unique(found[np.isfinite(found)])


def test_a_number_bit_by_bit(page: Watched) -> None:
    name = "float8_e4m3fn"
    shown = page.open(f"bits?format={name}&value=0.1")
    all_, code = numbers(name), int(ELEMENTS[name].round(np.array([[0.1]], np.float32), ()).item())
    for bit in (None, 0, 5, 2, 7, 6):
        if bit is not None:
            shown.locator(f"[data-bit='{bit}']").click()
            code ^= 1 << bit
        value = decoded(name, code).item()
        above = all_[np.searchsorted(all_, value, "right")]
        assert number(page.value("decoded")) == value and page.value("code") == f"{code} = 0x{code:02x}"
        assert number(page.value("above")) == above
        assert number(page.value("gap")) == pytest.approx(above - value, rel=1e-3)
    at = int(np.searchsorted(all_, value))
    for button, step in (("next", 1), ("next", 2), ("previous", 1), ("previous", 0)):
        shown.locator(f"[data-control={button}]").click()
        assert number(page.value("decoded")) == all_[at + step]


@pytest.mark.parametrize("name", ["float16", "float8_e5m2", "float8_e4m3fn", "float6_e3m2fn", "float4_e2m1fn"])
def test_special_values(page: Watched, name: str) -> None:
    shown, all_ = page.open("bits"), numbers(name)
    shown.locator("[data-control=format]").select_option(name)
    press = shown.get_by_role("group", name="Special values").get_by_role("button")
    positive = all_[all_ > 0]
    expected = dict(zip(SPECIALS, [0.0, -0.0, positive[0], 1.0, positive[-1]], strict=True))
    special = ELEMENTS[name].special
    expected |= {"infinity": math.inf} if special == "ieee" else {}
    expected |= {"NaN": math.nan} if special else {}
    assert press.all_inner_texts() == list(expected)
    for label, value in expected.items():
        press.get_by_text(label, exact=True).click()
        np.testing.assert_array_equal(number(page.value("decoded")), value, label)
        assert page.value("decoded").startswith("−") == (label == "−0")
    if special:
        assert page.value("above") == page.value("gap") == "none"


def test_integers_and_powers_of_two(page: Watched) -> None:
    shown = page.open("bits?format=int4&value=3")
    press = shown.get_by_role("group", name="Special values").get_by_role("button")
    for label, value in (("smallest", "−8"), ("zero", "0"), ("largest", "7")):
        press.get_by_text(label, exact=True).click()
        assert page.value("decoded") == value
    assert shown.locator("[data-control=next]").is_disabled() and page.value("code") == "7 = 0x7"
    shown.locator("[data-control=format]").select_option("float8_e8m0fnu")
    for label, power in (("smallest", -127), ("one", 0), ("largest", 127)):
        press.get_by_text(label, exact=True).click()
        assert number(page.value("decoded")) == 2.0**power


def test_the_number_line_and_its_histogram(page: Watched) -> None:
    shown = page.open("bits?format=float4_e2m1fn")
    line = shown.get_by_role("figure", name="All numbers of float4_e2m1fn")
    surface = line.locator("rect[style*=crosshair]")
    box = surface.bounding_box()
    for share, value in ((0.75, 3), (0.02, -6), (0.5 + 1.4 / 12, 1.5)):
        surface.click(position={"x": share * box["width"], "y": 30})
        assert number(page.value("decoded")) == value
    shown.locator("[data-control=reach]").fill("1")
    seen = numbers("float4_e2m1fn")
    inside = int((np.abs(seen) <= 3).sum())
    assert f"{inside} of {len(seen)} numbers lie between −3 and 3" in line.locator("figcaption").inner_text()

    shown.locator("[data-control=format]").select_option("float8_e4m3fn")
    positive = numbers("float8_e4m3fn")
    positive = positive[positive > 0]
    histogram = shown.get_by_role("figure", name="Where its numbers are")
    histogram.get_by_text("The counts").click()
    histogram.locator("details tbody").wait_for()
    counts = histogram.locator("tbody tr td:last-child")
    powers = np.floor(np.log2(positive)).astype(int)
    assert [int(n) for n in counts.all_inner_texts()] == np.bincount(powers - powers.min()).tolist()
    histogram.get_by_role("radio", name="the same everywhere").check()
    places = np.minimum(BARS - 1, np.floor(positive / positive[-1] * BARS)).astype(int)
    assert [int(n) for n in counts.all_inner_texts()] == np.bincount(places, minlength=BARS).tolist()


def test_two_formats_side_by_side(page: Watched) -> None:
    shown = page.open("bits?value=0.1")
    shown.locator("[data-control=value]").press("PageUp")
    shown.locator("[data-control=beside]").select_option("float6_e3m2fn")
    for name in ("float8_e4m3fn", "float6_e3m2fn"):
        assert number(page.value(f"got-{name}")) == rounded(name, 0.2).item()
        assert number(page.value(f"error-{name}")) == pytest.approx(rounded(name, 0.2).item() - 0.2, rel=1e-3)
    assert number(page.value("decoded")) == rounded("float8_e4m3fn", 0.2).item()
    for zoom, at in ((0, 0.25), (1.5, 0.25), (1.5, 0.1)):
        shown.locator("[data-control=zoom]").fill(str(zoom))
        shown.locator("[data-control=at]").fill(str(at))
        angles = 2 * math.pi * at + np.linspace(-math.pi, math.pi, 800) / 10**zoom
        for id, name in (("worst", "float8_e4m3fn"), ("worst-beside", "float6_e3m2fn")):
            wave = np.sin(angles)
            assert number(page.value(id)) == pytest.approx(np.abs(rounded(name, wave) - wave).max(), rel=2e-3)
