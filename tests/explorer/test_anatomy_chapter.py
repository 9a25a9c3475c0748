"""The chapter on blocks: what is touched lights up, and numbers are Python's."""

from __future__ import annotations

import math

import numpy as np
from watched_page import Watched, number

from bitwright import formats
from bitwright.explorer.exhibits import Documents


def test_a_block_of_the_file(page: Watched, documents: Documents) -> None:
    found = documents["anatomy/q4_1"]
    block = found["blocks"][0]
    stored = documents.subject.file.tensor(found["tensor"]).data[block["row"]]
    at = block["column"] // 32 * 20
    assert found["own"] and block["bytes"] == stored[at : at + 20].tolist()
    shown = page.open("anatomy")
    assert "bits 0 to 3: the code of weight 0" in page.value("serves")
    assert "bits 4 to 7: the code of weight 16" in page.value("serves")
    shown.locator("[data-control=weights] [data-cell='21']").click()
    assert "bits 4 to 7: the code of weight 21" in page.value("serves")
    assert shown.locator("[data-control^=field-] .lit").count() == 5  # one byte of codes, two of scale, two of min
    assert math.isclose(number(page.value("weight")), block["weights"][21], rel_tol=1e-12)
    shown.locator("[data-control=field-d] [data-cell='1']").hover()
    assert shown.locator("[data-control=weights] .scale.lit").count() == 32
    shown.mouse.move(0, 0)
    assert shown.locator("[data-control=weights] .lit").count() == 1
    shown.locator("[data-control=weights] [data-cell='21']").press("ArrowDown")
    assert "weight 37" not in page.value("filled")  # there are 32
    shown.locator("[data-control=weights] [data-cell='21']").press("ArrowLeft")
    assert "weight 20 =" in page.value("filled")
    shown.wait_for_url("**at=w20")


def test_another_format_and_another_block(page: Watched, documents: Documents) -> None:
    shown = page.open("anatomy?at=w0")
    before = page.value("weight")
    shown.locator("[data-control=block] label", has_text="largest").click()
    assert page.value("weight") != before
    shown.locator("[data-control=format]").select_option("q4_k")
    shown.wait_for_selector("[data-control=field-scales]")
    shown.locator("[data-control=field-scales] [data-cell='0']").click()
    assert "the scale of weights 0 to 31" in page.value("serves")
    assert "the scale of weights 128 to 159" in page.value("serves")
    block = documents["anatomy/q4_k"]["blocks"][1]
    assert number(page.value("weight")) == block["weights"][0]
    assert number(page.value("original")) == block["original"][0]
    assert [page.value(f"share{what}") for what in ("", "-code", "-scale", "-min")] == ["4.5", "4", "0.25", "0.25"]
    shown.locator("[data-control=bits] [data-cell='0']").click()
    shown.wait_for_url("**at=*.7")
    assert shown.locator("[data-control=bits] .lit").count() == 1
    lit, served = shown.locator("[data-control=weights] .lit").count(), page.value("serves").splitlines()
    assert lit == 32 and "bits 6 to 7: the scale of weights 128 to 159" in served
    for bit, first in ((0, 0), (7, 128)):  # pointing at one bit lights up what it serves
        shown.locator(f"[data-control=bits] [data-cell='{7 - bit}']").hover()
        cells = shown.locator("[data-control=weights] [data-cell].lit").evaluate_all(
            "all => all.map(e => +e.dataset.cell)"
        )
        assert cells == list(range(first, first + 32))


def test_a_flipped_bit(page: Watched, documents: Documents) -> None:
    found = documents["anatomy/q4_k"]
    block, format = found["blocks"][0], formats.get("q4_k")
    shown = page.open("anatomy?format=q4_k&at=16.3")
    shown.locator("[data-control=flip]").check()
    for control, changed in (("worst-code", 1), ("worst-scale", None)):
        shown.locator(f"[data-control={control}]").click()
        shown.wait_for_timeout(200)  # the address is written late
        byte, bit = map(int, shown.url.partition("&at=")[2].partition("&")[0].split("."))
        bytes_ = np.array(block["bytes"], np.uint8)
        bytes_[byte] ^= 1 << bit
        difference = np.abs(format.dequantize(bytes_).astype(float) - np.array(block["weights"]))
        assert page.value("changed") == str((difference != 0).sum())
        assert changed is None or page.value("changed") == str(changed)
        assert math.isclose(number(page.value("harm")), difference.max(), rel_tol=1e-3)
        table = shown.get_by_role("figure", name="one wrong bit").locator("details")
        if not table.locator("tbody").count():
            table.locator("summary").click()
            table.locator("tbody").wait_for()
        flipped = [number(cell) for cell in table.locator("tbody td:last-child").all_inner_texts()]
        np.testing.assert_array_equal(flipped, format.dequantize(bytes_))
    shown.locator("[data-control=flip]").uncheck()
    assert not shown.locator("[data-value=changed]").count() and "Dashed" not in shown.locator("article").inner_text()
