"""Every chapter: opens without an error or a request elsewhere, is accessible, fits a phone, works by keyboard.

All of that takes up to 20 seconds of a chapter, so most chapters are for CI. Each one is also opened in
test_recorded_pages.py, and has tests of what it shows.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from slow import slow_but
from watched_page import AXE, CHAPTERS, Watched, violations

FEW = ("blocks",)


def test_there_are_chapters() -> None:
    assert set(FEW) < set(CHAPTERS)


@pytest.mark.parametrize("chapter", slow_but(FEW, CHAPTERS))
def test_a_chapter(page: Watched, chapter: str) -> None:
    """One visit: a page opens in about a second, so each is opened once."""
    shown = page.open(chapter)
    assert shown.locator("main h1").inner_text() and shown.locator("main figure").count()
    assert not shown.locator("main .problem").count()
    figures_are_told_in_words(shown)
    reached_by_keyboard(shown)
    fits_a_phone(shown)
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    shown.evaluate("() => document.querySelectorAll('main details').forEach((folded) => (folded.open = true))")
    assert violations(shown) == []


def fits_a_phone(shown: Any) -> None:
    """Asserts that nothing is wider than a phone, once the figures have followed the width of the page."""
    shown.set_viewport_size({"width": 360, "height": 740})
    for _ in range(200):
        if (wide := shown.evaluate("document.documentElement.scrollWidth")) <= 360:
            break
        shown.wait_for_timeout(100)
    shown.set_viewport_size({"width": 1440, "height": 900})
    assert wide <= 360, "a phone would scroll sideways"


def reached_by_keyboard(shown: Any) -> None:
    """Asserts that the Tab key comes to all that can be used. Arrow keys move within radio buttons and cells, so that
    one of them is enough."""
    shown.evaluate(
        """() => {
            const kinds = "a, button, input, select, textarea, summary, [role=slider], [role=listbox]";
            const usable = (e) => e.checkVisibility() && !e.disabled && (e.tabIndex >= 0 || e.closest(".cells"));
            window.stop = (e) => e.closest(".cells") ?? (e.type === "radio" ? e.closest("fieldset") : e);
            window.left = new Set([...document.querySelectorAll(`main :is(${kinds})`)].filter(usable).map(stop)); }"""
    )
    shown.locator("main").focus()
    for _ in range(400):
        shown.keyboard.press("Tab")
        if shown.evaluate(
            "() => { const at = document.activeElement; left.delete(stop(at)); return !at.closest('main') }"
        ):
            break
    assert shown.evaluate("[...left].map((e) => e.outerHTML.slice(0, 200))") == []


def figures_are_told_in_words(shown: Any) -> None:
    """Asserts that every figure has a title, and every drawing words without holes for those who do not see it."""
    title = "(f) => document.getElementById(f.getAttribute('aria-labelledby'))?.innerText ?? ''"
    assert all(shown.locator("main figure").evaluate_all(f"(all) => all.map({title})"))
    drawings = shown.locator("main :is(svg, canvas, .bar, .room, .timing):not([aria-hidden=true])")
    told = drawings.evaluate_all(
        "(all) => all.map((e) => [e.getAttribute('role'), e.getAttribute('aria-label') ?? ''])"
    )
    assert all(role == "img" and len(words) > 8 for role, words in told)
    assert [words for _, words in told if re.search(r"NaN|undefined|null|Infinity", words)] == []


SLOW = ("recipe", "device")  # they quantize a model, or measure the machine; other tests set them
STATE = """() => [...document.querySelectorAll("main :is([data-control], [data-value], [role=listbox])")]
    .filter((e) => !e.matches("button")).map((e) => [e.dataset.control ?? e.dataset.value ?? "tokens",
        e.type === "checkbox" ? e.checked : e.matches("fieldset") ? e.querySelector(":checked").value
        : e.matches(".cells") ? e.querySelector("[aria-pressed=true]")?.dataset.cell ?? ""
        : e.getAttribute("aria-activedescendant") ?? e.getAttribute("aria-valuenow") ?? e.value ?? e.innerText])"""
CHANGE = """(e) => {
    if (e.type === "range") {
        const before = e.value;
        for (const share of [0.4, 0.7]) if (e.value === before) e.value = +e.min + share * (e.max - e.min);
        e.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (e.tagName === "SELECT") {
        e.selectedIndex = (e.selectedIndex + 1) % e.options.length;
        e.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (e.type === "checkbox") e.click();
    else if (e.tagName === "FIELDSET") e.querySelector("input:not(:checked)")?.click();
    else if (e.tagName === "TEXTAREA") { e.value = "One, two"; e.dispatchEvent(new Event("input", { bubbles: true })); }
    else {
        const at = e.querySelector("[tabindex='0']") ?? e, last = e.ariaValueNow && e.ariaValueNow === e.ariaValueMax;
        at.dispatchEvent(new KeyboardEvent("keydown", { key: last ? "ArrowLeft" : "ArrowRight", bubbles: true }));
    } }"""


def settled(shown: Any) -> list[list[Any]]:
    """What is set and shown, once nothing is computed any more and the address says it."""
    found: list[list[Any]] = []
    for _ in range(600):
        before, found = found, shown.evaluate(STATE)
        busy = shown.locator("main .waiting, main .said:not(:empty)").count()
        if found == before and not busy:
            return found
        shown.wait_for_timeout(200)
    raise AssertionError("still computing")


@pytest.mark.parametrize("chapter", slow_but(FEW, CHAPTERS))
def test_the_address_says_what_is_set(page: Watched, chapter: str) -> None:
    """Every control changes something, and who follows a link to what a reader has set sees the same."""
    shown = page.open(chapter)
    controls = "main :is(:not(button)[data-control], [role=listbox])"
    seen = settled(shown)
    for place in range(shown.locator(controls).count()):
        control = shown.locator(controls).nth(place)
        if control.count() and (name := control.get_attribute("data-control")) not in SLOW:
            control.evaluate(CHANGE)
            before, seen = seen, settled(shown)
            assert seen != before, f"{name} changes nothing"
    address = shown.url
    shown.goto("about:blank")
    shown.goto(address)
    shown.wait_for_selector("main h1")
    shown.wait_for_selector("main .waiting", state="detached")
    assert settled(shown) == seen
