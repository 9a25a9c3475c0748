"""Every chapter: opens without an error or a request elsewhere, is accessible, fits a phone, works by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from watched_page import Watched

ROOT = Path(__file__).parents[2]
CHAPTERS = re.findall(r'entry\(\s*"([\w-]+)"', (ROOT / "web/src/chapters.ts").read_text("utf-8"))
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
"""To run axe in the page without loosening its policy, it is evaluated through the debugger."""


def test_there_are_chapters() -> None:
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_opens(page: Watched, chapter: str) -> None:
    shown = page.open(chapter)
    assert shown.locator("main h1").inner_text()
    assert shown.locator("main figure").count()
    assert not shown.locator("main .problem").count()


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Watched, chapter: str, scheme: Any) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    shown = page.open(chapter)
    shown.emulate_media(color_scheme=scheme)
    shown.evaluate("() => document.querySelectorAll('main details').forEach((folded) => (folded.open = true))")
    shown.evaluate(AXE.read_text("utf-8"))
    found = shown.evaluate("axe.run(document, {resultTypes: ['violations']})")
    shown.emulate_media(color_scheme="light")
    assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_phone_shows_it_whole(browser: Any, site: str, chapter: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    shown = Watched(context.new_page(), site).open(chapter)
    wide = shown.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert wide <= 360


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_control_is_reached_by_keyboard(page: Watched, chapter: str) -> None:
    shown = page.open(chapter)
    wanted = shown.evaluate(
        """() => new Set([...document.querySelectorAll("main [data-control]:not(:disabled)")]
           .filter((e) => e.checkVisibility()).map((e) => e.dataset.control)).size"""
    )
    shown.locator("main").focus()
    reached = set()
    for _ in range(400):
        shown.keyboard.press("Tab")
        where, outside = shown.evaluate(
            """() => { const at = document.activeElement;
                return [at?.closest("[data-control]")?.dataset.control, !at?.closest("main")] }"""
        )
        if where:
            reached.add(where)
        if outside:
            break
    assert len(reached) == wanted
