"""The chapter on chips: rates follow from the device's figures, and each control changes them."""

from __future__ import annotations

from typing import Any

import pytest
from watched_page import Watched, number

from bitwright.explorer.exhibits import Documents

H100 = "chip?device=h100-sxm-80gb"


def rate(chip: dict[str, Any], name: str, tokens: int) -> float:
    """Tokens per second, so many at once, by a chip's figures."""
    f, weights = next(f for f in chip["formats"] if f["format"] == name), chip["weights"]
    fetch = weights * f["bits_per_weight"] / 8 / f["stored_bytes_per_second"]
    return tokens / max(fetch, 2 * weights * tokens / f["operations_per_second"])


def test_fetching_against_multiplying(page: Watched, documents: Documents) -> None:
    found = documents["chip/h100-sxm-80gb"]
    shown = page.open(H100)
    for power, limit in ((0, "memory"), (11, "arithmetic")):
        shown.locator("[data-control=tokens]").fill(str(power))
        for id, name in (("rate", "q4_k"), ("rate-beside", "float16")):
            assert number(page.value(id)) == pytest.approx(rate(found, name, 2**power), rel=5e-3)
        assert page.value("limit") == page.value("limit-beside") == limit
        gain = rate(found, "q4_k", 2**power) / rate(found, "float16", 2**power)
        assert number(page.value("gain")) == pytest.approx(gain, rel=5e-3)
    shown.locator("[data-control=beside]").select_option("q4_k")
    assert page.value("gain") == "1"
    shown.locator("[data-control=scrub]").press("Home")
    assert page.value("limit") == "memory"
    shown.locator("[data-control=device]").select_option("apple-m1-max-32c")
    shown.wait_for_selector("main .waiting", state="detached")
    assert number(page.value("rate")) == pytest.approx(rate(documents["chip/apple-m1-max-32c"], "q4_k", 1), rel=5e-3)
    assert "Apple M1 Max" in shown.locator("figcaption").first.inner_text()


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
    model = documents["chip/h100-sxm-80gb"]["models"][0]
    shown.locator("[data-control=model]").select_option(model["name"])
    figure = shown.get_by_role("figure", name="Bits and speed")
    assert model["name"] in figure.locator("figcaption").inner_text()
    figure.get_by_text("The recipes, in numbers").click()
    figure.locator("details tbody").wait_for()
    cells = figure.locator("tbody tr td:nth-child(3)").all_inner_texts()
    expected = [r["prefill"]["tokens_per_second"] for r in model["recipes"]]
    assert [number(cell) for cell in cells] == pytest.approx(expected, rel=5e-3)


def test_every_format(page: Watched, documents: Documents) -> None:
    shown, found = page.open(H100), documents["chip/h100-sxm-80gb"]["formats"]
    rows = shown.get_by_role("region", name="Every format").locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == [f["format"] for f in found]
    assert [row.split("\t")[2] for row in rows] == [f["path"] for f in found]
    assert {"native", "converted", "int8"} <= {f["path"] for f in found}
