"""The chapter on chips: rates follow from the device's figures, and each control changes them."""

from __future__ import annotations

import pytest
from watched_page import Watched

from bitwright.explorer.exhibits import Documents

H100 = "chip?device=h100-sxm-80gb"


def test_fetching_against_multiplying(page: Watched, documents: Documents) -> None:
    found = documents["chip/h100-sxm-80gb"]
    rows = {f["format"]: f for f in found["formats"]}

    def rate(name: str, tokens: int) -> float:
        f, weights = rows[name], found["weights"]
        fetch = weights * f["bits_per_weight"] / 8 / f["stored_bytes_per_second"]
        return tokens / max(fetch, 2 * weights * tokens / f["operations_per_second"])

    shown = page.open(H100)
    for power, limit in ((0, "memory"), (11, "arithmetic")):
        shown.locator("[data-control=tokens]").fill(str(power))
        for id, name in (("rate", "q4_k"), ("rate-beside", "float16")):
            mantissa, _, exponent = page.value(id).partition(" × 10")
            value = float(mantissa) * 10 ** int(exponent.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")) or 0)
            assert value == pytest.approx(rate(name, 2**power), rel=5e-3)
        assert page.value("limit") == limit
        gain = rate("q4_k", 2**power) / rate("float16", 2**power)
        assert float(page.value("gain")) == pytest.approx(gain, rel=5e-3)
    shown.locator("[data-control=beside]").select_option("q4_k")
    assert page.value("gain") == "1"
    shown.locator("[data-control=scrub]").press("Home")
    assert page.value("limit") == "memory"


def test_the_way_of_a_weight(page: Watched, documents: Documents) -> None:
    shown = page.open(f"{H100}&format=float8_e4m3fn")
    row = next(f for f in documents["chip/h100-sxm-80gb"]["formats"] if f["format"] == "float8_e4m3fn")
    assert row["path"] == "native" and row["instruction"] in page.value("journey")
    shown.locator("[data-control=format]").select_option("nvfp4")
    assert "in registers" in page.value("journey")


def test_fewer_bits(page: Watched, documents: Documents) -> None:
    shown = page.open(H100)
    assert page.value("odd") == "Here fewer bits are never clearly slower."
    shown.locator("[data-control=phase] label", has_text="prompt").click()
    recipes = {r["recipe"]: r for r in documents["chip/h100-sxm-80gb"]["models"][1]["recipes"]}
    few, _, many = page.value("odd").partition(" has ")
    slower = 1 - recipes[few]["prefill"]["tokens_per_second"] / recipes["f16"]["prefill"]["tokens_per_second"]
    assert "than f16" in many and f"{round(100 * slower)}% slower" in many
