"""The page that eval and compare write, in a browser: it asks no one for anything, and shows what the report says."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched_page import AXE, violations

from bitwright.explorer import given
from bitwright.reports.page import page as made

COMPARISON = given.report(None)["report"]
CANDIDATES = [m for m in COMPARISON["models"] if not m["is_reference"]]
EVALUATION = next(m for m in CANDIDATES if "heat" in m) | {"words": ["In words."], "about": COMPARISON["about"]}


@pytest.fixture(scope="module")
def phone(browser: Any) -> Iterator[Any]:
    """A page as narrow as a phone, that notes what goes wrong."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.fixture
def show(phone: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of a report as a file."""
    wrong: list[str] = []
    phone.on("pageerror", lambda error: wrong.append(str(error)))
    phone.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
    phone.on("request", lambda asked: asked.url.startswith("file:") or wrong.append(asked.url))

    def opened(report: dict[str, Any]) -> Any:
        (tmp_path / "r.html").write_text(made(report), encoding="utf-8")
        phone.goto((tmp_path / "r.html").as_uri())
        phone.wait_for_selector("h1")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        if AXE.exists():
            assert violations(phone) == []
        return phone

    yield opened
    assert not wrong


def headings(page: Any) -> list[str]:
    return list(page.locator("h1, h2").all_inner_texts())


@pytest.mark.slow  # all parts of a long page; test_an_evaluation shows those that both pages have
def test_a_comparison(show: Any) -> None:
    page = show(COMPARISON)
    titles = headings(page)
    assert titles[0] == "Models compared" and COMPARISON["headline"] in page.inner_text(".headline")
    assert {"Quality against bytes", "Models, best first", "Pair by pair", "Survival"} <= set(titles)
    rows = page.get_by_role("region", name="Models, best first").locator("tbody tr").all_inner_texts()
    for row, m in zip(rows, COMPARISON["models"], strict=True):
        shown = "the reference" if m["is_reference"] else f"{m['kl_divergence']['mean']:.5f}"
        assert row.startswith(m["model"]["name"]) and shown in row
    points = [float(c.get_attribute("cx")) for c in page.locator("figure circle.place").all()]
    sizes = [m["model"]["file_bytes"] for m in COMPARISON["models"]]
    assert [x / points[0] for x in points] == pytest.approx([size / sizes[0] for size in sizes])
    badges = [(float(c.get_attribute("cx")), float(c.get_attribute("cy"))) for c in page.locator("circle[r='9']").all()]
    assert len(badges) == len(sizes) and min(math.dist(p, q) for p, q in itertools.combinations(badges, 2)) >= 18
    page.get_by_label("axis from zero").uncheck()
    narrowed = [float(c.get_attribute("cx")) for c in page.locator("figure circle.place").all()]
    assert max(narrowed) - min(narrowed) > max(points) - min(points)
    page.get_by_role("radio", name="speed").check(force=True)
    assert "Quality against speed" in headings(page)
    shown = [m for m in CANDIDATES if "heat" in m][-1]
    page.get_by_role("radio", name=shown["model"]["name"]).check(force=True)
    assert f"Token by token: {shown['model']['name']}" in headings(page)
    page.get_by_role("option").nth(1).click()
    assert json.dumps(shown["heat"]["tokens"][1]["text"], ensure_ascii=False) in page.locator(".seen").inner_text()


def test_an_evaluation(show: Any) -> None:
    page = show(EVALUATION)
    titles = headings(page)
    assert titles[0] == f"What {EVALUATION['model']['name']} lost"
    assert {"Measures", "Divergence of single tokens", "Token by token", "Noise floor"} <= set(titles)
    assert f"{EVALUATION['kl_divergence']['mean']:.5f}" in page.get_by_role("region", name="Measures").inner_text()
    tokens = page.get_by_role("listbox")
    tokens.focus()
    page.keyboard.press("ArrowRight")
    first = EVALUATION["heat"]["tokens"][0]
    assert json.dumps(first["text"], ensure_ascii=False) in page.locator(".seen").inner_text()
    assert f"{100 * first['candidate'][0][1]:.1f}%" in page.locator(".seen").inner_text()


def test_text_cannot_end_the_data_or_become_markup(show: Any) -> None:
    name = "</script><img src=x onerror=alert(1)>.gguf"
    page = show(EVALUATION | {"model": EVALUATION["model"] | {"name": name}, "warnings": ["<b>low</b>"]})
    assert name in page.inner_text("h1") and "Warning: <b>low</b>." in page.inner_text(".verdict")
    assert not page.locator("img").count()


def test_a_warning_of_several_models_is_said_once(show: Any) -> None:
    models = [m | {"warnings": ["low", m["model"]["name"]]} for m in COMPARISON["models"]]
    page = show(COMPARISON | {"models": models})
    said = page.locator(".warning").all_inner_texts()
    names = [m["model"]["name"] for m in CANDIDATES]
    assert said == ["Warning: low.", *(f"Warning, {name}: {name}." for name in names)]
