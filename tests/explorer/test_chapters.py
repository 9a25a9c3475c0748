"""Every chapter: opens without an error or a request elsewhere, is accessible, fits a phone, works by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sites import plain
from watched_page import Watched

from bitwright.explorer.exhibits import EXHIBITS, Documents
from bitwright.explorer.export import export

ROOT = Path(__file__).parents[2]
CHAPTERS = re.findall(r'entry\(\s*"([\w-]+)"', (ROOT / "web/src/chapters.ts").read_text("utf-8"))
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
"""To run axe in the page without loosening its policy, it is evaluated through the debugger."""


def test_there_are_chapters() -> None:
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter(page: Watched, chapter: str) -> None:
    """One visit: a page opens in about a second, so each is opened once."""
    shown = page.open(chapter)
    assert shown.locator("main h1").inner_text() and shown.locator("main figure").count()
    assert not shown.locator("main .problem").count()
    reached_by_keyboard(shown)
    fits_a_phone(shown)
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    shown.evaluate("() => document.querySelectorAll('main details').forEach((folded) => (folded.open = true))")
    shown.evaluate(AXE.read_text("utf-8"))
    found = violations(shown, {})
    shown.emulate_media(color_scheme="dark")
    found += violations(shown, {"runOnly": ["color-contrast"]})
    shown.emulate_media(color_scheme="light")
    assert found == []


def fits_a_phone(shown: Any) -> None:
    """Asserts that nothing is wider than a phone, once the figures have followed the width of the page."""
    shown.set_viewport_size({"width": 360, "height": 740})
    for _ in range(200):
        if (wide := shown.evaluate("document.documentElement.scrollWidth")) <= 360:
            break
        shown.wait_for_timeout(100)
    shown.set_viewport_size({"width": 1440, "height": 900})
    assert wide <= 360, "a phone would scroll sideways"


def violations(shown: Any, options: dict[str, Any]) -> list[tuple[str, Any]]:
    """What axe finds wrong, with the first places."""
    found = shown.evaluate("(options) => axe.run(document, {resultTypes: ['violations'], ...options})", options)
    return [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found["violations"]]


def reached_by_keyboard(shown: Any) -> None:
    """Asserts that the Tab key comes to every control."""
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


def test_an_exported_site_needs_only_a_file_server(browser: Any, documents: Documents, tmp_path: Path) -> None:
    export(Documents(documents.subject, {name: EXHIBITS[name] for name in ("site", "elements")}), tmp_path / "site")
    with plain(tmp_path / "site") as address:
        page = browser.new_page()
        shown = Watched(page, address)
        shown.open("bits?format=bfloat16&value=0.5")
        assert shown.value("decoded") == "0.5" and not shown.wrong
        page.close()
