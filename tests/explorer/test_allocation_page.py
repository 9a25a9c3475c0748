"""Who gets the bits: the page divides a budget as well as Python's exact allocation, and replays a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Choices
from bitwright.fit.history import DIGITS
from bitwright.io import gguf

GAP = 0.005  # by which the page's choice may cost more than the exact optimum
WIDEST = 9  # bits per weight of the formats that the page offers
DIVIDE = """async ([choices, budgets]) => {
    const { allocation } = await import("./arithmetic.js");
    return budgets.map((budget) => allocation.allocate(choices, budget)); }"""


def choices_of(found: dict[str, Any]) -> Choices:
    """What the page may choose from."""
    cost = np.array([[np.inf if c is None else c for c in row] for row in found["cost"]])
    wide = np.array([f["bits_per_weight"] > WIDEST for f in found["formats"]])
    cost[:, wide] = np.where((np.isfinite(cost) & ~wide).any(axis=1, keepdims=True), np.inf, cost[:, wide])
    names = tuple(t["name"] for t in found["tensors"])
    return Choices(names, tuple(formats.get(f["name"]) for f in found["formats"]), np.array(found["bytes"]), cost)


def test_a_budget_is_divided_as_python_divides_it(page: Watched, documents: Documents) -> None:
    choices = choices_of(documents["allocation"])
    least = int(np.where(choices.allowed, choices.bytes, 1 << 60).min(axis=1).sum())
    most = int(np.where(choices.allowed, choices.bytes, 0).max(axis=1).sum())
    budgets = [least, *np.random.default_rng(0).integers(least, most, 6).tolist(), most, 2 * most]
    given = {"bytes": choices.bytes.tolist(),
             "cost": [[c if np.isfinite(c) else None for c in row] for row in choices.cost.tolist()]}  # fmt: skip
    divided = page.open("allocation").evaluate(DIVIDE, [given, [*budgets, least - 1]])
    assert divided.pop() is None
    for budget, levels in zip(budgets, divided, strict=True):
        assert choices.bytes_of(levels) <= budget
        assert choices.cost_of(levels) <= (1 + GAP) * choices.cost_of(allocate(choices, budget))


@pytest.mark.slow  # each control in turn; the test above moves the budget
def test_the_page_follows_its_controls(page: Watched, documents: Documents) -> None:
    found = documents["allocation"]
    choices = choices_of(found)
    shown = page.open("allocation")
    preset = found["presets"]["q4_k_m"]
    used = number(page.value("used"))
    assert used <= choices.bytes_of(preset)
    cost = float(shown.locator("[data-value=cost]").get_attribute("data-exact"))
    assert cost == pytest.approx(choices.cost_of(allocate(choices, choices.bytes_of(preset))), rel=GAP)
    assert number(page.value("preset")) == pytest.approx(choices.cost_of(preset) / cost, rel=1e-2)
    shown.locator("[data-control='as-q3_k_m']").click()
    assert number(page.value("used")) < used
    plot = shown.get_by_role("figure", name="Drag the budget").locator("rect[style*=ew-resize]")
    before = number(page.value("used"))
    plot.drag_to(plot, source_position={"x": 200, "y": 100}, target_position={"x": 90, "y": 100})
    assert number(page.value("used")) < before
    before = number(page.value("used"))
    shown.locator("[data-control='budget-text']").press("PageUp")
    assert number(page.value("used")) > before
    shown.locator("[data-control='budget']").press("End")
    assert float(shown.locator("[data-value=cost]").get_attribute("data-exact")) < cost
    shown.locator("[data-control='tensor']").select_option("blk.1.ffn_down.weight")
    row, level = choices.tensors.index("blk.1.ffn_down.weight"), [f["name"] for f in found["formats"]].index("q3_k")
    assert number(page.value("tensor-cost")) == pytest.approx(found["cost"][row][level], rel=1e-2)
    rank = 1 + int((choices.cost[choices.allowed[:, level], level] > found["cost"][row][level]).sum())
    assert page.value("rank").startswith(f"{rank} of ")
    shown.locator("[data-control='format']").select_option("q4_k")
    other = choices.tensors.index("blk.20.attn_v.weight")
    shown.locator(f".cell[data-row='{other}']").first.click()
    assert shown.locator("[data-control='tensor']").input_value() == "blk.20.attn_v.weight"
    level = [f["name"] for f in found["formats"]].index("q4_k")
    assert number(page.value("tensor-cost")) == pytest.approx(found["cost"][other][level], rel=1e-2)


def test_a_search_is_replayed(page: Watched, documents: Documents) -> None:
    tried = documents["allocation"]["tried"]
    shown = page.open("allocation?generation=0")
    assert page.value("lineage") == "0" and page.value("outcome") == "seed"
    shown.locator("[data-control='next-generation']").click()
    shown.locator("[data-control='generation']").press("End")
    last = len(tried) - 1
    shown.locator("[data-control='candidate']").press("End")
    assert page.value("outcome") == tried[last]["outcome"] and page.value("origin") == tried[last]["origin"]
    lineage = [last]
    while lineage[0]:
        lineage.insert(0, tried[lineage[0]]["parent"])
    assert page.value("lineage") == " → ".join(map(str, lineage))
    score = np.mean(tried[last]["scores"])
    assert number(page.value("score")) == pytest.approx(score, rel=1e-3)
    changed = sum(a != b for a, b in zip(tried[last]["levels"], tried[tried[last]["parent"]]["levels"], strict=True))
    marked = shown.locator(".cell.marked").count()
    assert marked == changed > 0
    levels = [DIGITS.index(digit) for digit in tried[last]["levels"]]
    expected = choices_of(documents["allocation"]).cost_of(tuple(levels))
    assert number(page.value("expected")) == pytest.approx(expected, rel=1e-3)
    dots = shown.get_by_role("figure", name="generation by generation").locator("rect[style*=pointer]").first
    width = dots.bounding_box()["width"]
    dots.click(position={"x": width * 0.5 / len(tried), "y": 50})
    assert page.value("lineage") == "0" and page.value("relative") == "0.00%"
    shown.locator("[data-control='candidate']").press("End")
    before = shown.locator("circle.chosen").get_attribute("cy")
    shown.locator("[data-control='close']").check()
    assert shown.locator("circle.chosen").get_attribute("cy") != before


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    gguf.write(path, {"general.architecture": "rwkv7"}, [])
    assert Documents(Subject(path, "other"))["allocation"]["unavailable"]
    history = tmp_path / "history.json"
    history.write_text("{}")
    with pytest.raises(UsageError, match="expected a history that fit wrote"):
        Documents(Subject(path, "other", history=history))["allocation"]
