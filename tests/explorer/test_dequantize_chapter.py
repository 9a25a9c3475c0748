"""The chapter that multiplies one block in slow motion."""

from __future__ import annotations

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.explorer.exhibits import Documents


def test_the_result_is_pythons(page: Watched, documents: Documents) -> None:
    assert documents["dots"]["formats"][0] == "q4_1"  # the file's
    shown = page.open("dequantize")
    for name in ("q4_1", "mxfp4"):
        shown.locator("[data-control=format]").select_option(name)
        shown.locator("h2", has_text=f"32 weights in {name}").wait_for()
        found = documents[f"dot/{name}"]
        decoded = formats.get(name).dequantize(np.array(found["bytes"], np.uint8)).astype(np.float64)
        assert number(page.value("exact")) == pytest.approx(decoded @ np.array(found["input"]), rel=1e-12)
        for target in found["targets"]:
            shown.locator(f"[data-control=on] input[value={target['target']}]").check()
            assert number(page.value("result")) == pytest.approx(target["result"], rel=1e-12)
            assert number(page.value("difference")) == pytest.approx(target["result"] - found["exact"], rel=0.05)
            assert target["result"] == pytest.approx(found["exact"], abs=0.3 if target["target"] == "fp4" else 0.03)
    tensor = documents.subject.file.tensor(documents["dot/q4_1"]["tensor"])
    found = documents["dot/q4_1"]
    first = found["column"] // 32 * 20
    assert found["own"] and found["bytes"] == tensor.data[found["row"], first : first + 20].tolist()


def test_steps_and_lanes(page: Watched, documents: Documents) -> None:
    shown = page.open("dequantize?format=q4_0&on=vnni")
    steps = next(t for t in documents["dot/q4_0"]["targets"] if t["target"] == "vnni")["steps"]
    for step in steps:
        assert shown.locator("[data-value=step]").get_attribute("data-step") == step["kind"]
        if step["kind"] == "fours":
            shown.locator("[data-control='lanes-sums'] [data-cell='2']").click()
            assert shown.locator("[data-control='lanes-codes'] .lit").count() == 4
            assert shown.locator("[data-control='lanes-codes'] [data-cell='8'].lit").count() == 1
            assert shown.locator("[data-control='lanes-x'] .lit").count() == 4
            sums = shown.locator("[data-control='lanes-sums'] button").all_inner_texts()
            assert [int(s.replace("−", "-")) for s in sums] == step["registers"][0]["lanes"]
        if step is not steps[-1]:
            shown.locator("[data-control=step-on]").click()
    assert shown.locator("[data-control=step-on]").is_disabled()
    shown.locator("[data-control=step-back]").click()
    assert shown.locator("[data-value=step]").get_attribute("data-step") == steps[-2]["kind"]
    shown.locator("[data-control=step]").fill("2")
    assert shown.locator("[data-value=step]").get_attribute("data-step") == steps[1]["kind"]
    shown.locator(".trail button").nth(3).click()
    assert shown.locator("[data-value=step]").get_attribute("data-step") == steps[3]["kind"]


def test_room_in_sixteen_bits(page: Watched) -> None:
    shown = page.open("dequantize")
    for highest, stored, pairs in ((15, "3,810", "8"), (63, "16,002", "2"), (127, "32,258", "1"), (255, "32,767", "0")):
        shown.locator("[data-control=highest]").fill(str(highest))
        assert (page.value("stored"), page.value("pairs")) == (stored, pairs)
        assert number(page.value("pair")) == 2 * highest * 127
