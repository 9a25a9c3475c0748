"""The chapter on machines shows what `plan` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from watched_page import Watched

from bitwright.explorer import given
from bitwright.explorer.exhibits import Documents
from bitwright.hardware import devices, plan
from bitwright.model.architectures.outline import from_published, outline
from bitwright.views.machines import machines
from bitwright.views.plan_rows import of_row

SHAPE, DEVICE = "qwen3-14b", "rtx-3060-12gb"


@pytest.mark.parametrize(("recipe", "context"), [("q4_k_m", 8192), ("q8_0", 1024), ("iq2_m", 32768)])
def test_the_view_has_the_numbers_of_plan(recipe: str, context: int) -> None:
    shape, device = from_published(SHAPE), devices.get(DEVICE)
    found = machines(shape, [device])
    expected = of_row(plan.row(shape, device, recipe, plan.candidates(shape, [recipe])[recipe], plan.Ask(context)))
    number, at = [r["name"] for r in found["recipes"]].index(recipe), found["contexts"].index(context)
    row, decode = found["recipes"][number], found["devices"][0]["decode"][number][at]
    for key in ("file_bytes", "weights_bytes", "overhead_bytes", "bits_per_weight"):
        assert row[key] == expected[key]
    assert (row["kv_bytes"][at], row["compute_bytes"][at]) == (expected["kv_bytes"], expected["compute_bytes"])
    assert decode == (expected["decode"] if expected["fits"] else None)
    assert found["devices"][0]["price"] == expected["price"]


@pytest.mark.parametrize("shape", given.SHAPES)
def test_every_shape_can_be_shown(smollm2: Path, shape: str) -> None:
    outlined, device = outline(str(smollm2)) if shape == given.OWN else from_published(shape), devices.get(DEVICE)
    found = machines(outlined, [device])
    for recipe, (name, chosen) in zip(found["recipes"], plan.candidates(outlined, None).items(), strict=True):
        expected = of_row(plan.row(outlined, device, name, chosen, plan.Ask(found["contexts"][0])))
        assert recipe["name"] == name and recipe["file_bytes"] == expected["file_bytes"]


@pytest.mark.slow  # each control in turn; the test below changes the model
def test_controls_change_what_they_say(page: Watched) -> None:
    shown = page.open(f"machines?model={SHAPE}")
    shape = from_published(SHAPE)
    formats = plan.candidates(shape, None)

    def expected(device: str, recipe: str, context: int) -> tuple[str, str]:
        row = of_row(plan.row(shape, devices.get(device), recipe, formats[recipe], plan.Ask(context)))
        rate = row["decode"] if row["fits"] else None
        text = f"{rate['tokens_per_second']:g} ({rate['low']:g} to {rate['high']:g})" if rate else "does not run it"
        return text, f"{row['total_bytes'] / 1e9:.3g} GB"

    def seen() -> tuple[str, str]:
        return page.value("rate"), page.value("total")

    assert seen() == expected(DEVICE, "q4_k_m", 8192)
    shown.locator("[data-control=words]").press("ArrowRight")
    assert seen() == expected(DEVICE, "q4_k_m", 16384)
    shown.locator("[data-control=context]").fill("0")
    assert seen() == expected(DEVICE, "q4_k_m", 1024)
    shown.locator("[data-control=recipe] input[value=q8_0]").check(force=True)
    assert seen() == expected(DEVICE, "q8_0", 1024) and seen()[0] == "does not run it"
    shown.locator("[data-control=device]").select_option("rtx-3090-24gb")
    assert seen() == expected("rtx-3090-24gb", "q8_0", 1024)
    assert "which fits on NVIDIA GeForce RTX 3090" in shown.locator("article").inner_text()
    shown.wait_for_url("**recipe=q8_0&device=rtx-3090-24gb")
    shown.reload()
    shown.wait_for_selector("[data-value=rate]")
    assert seen() == expected("rtx-3090-24gb", "q8_0", 1024)  # it is all in the address
    shown.locator("[data-control=model]").select_option("qwen3-0.6b")
    shown.wait_for_selector("main .waiting", state="detached")
    shape = from_published("qwen3-0.6b")
    formats = plan.candidates(shape, None)
    assert seen() == expected("rtx-3090-24gb", "q8_0", 1024)


def test_two_models_are_compared(page: Watched, documents: Documents) -> None:
    found = documents["two-models"]
    figure = page.open("machines").get_by_role("figure", name="Bigger and quantized")
    figure.get_by_text("The files").click()
    figure.locator("details tbody").wait_for()
    rows = figure.locator("details tbody tr").all_inner_texts()
    files = sorted(found["models"], key=lambda m: m["model"]["file_bytes"])
    assert [row.split("\t")[0] for row in rows] == [m["model"]["name"] for m in files]
    assert [row.split("\t")[2] for row in rows] == [f"{m['bits_per_byte']['mean']:.4f}" for m in files]
