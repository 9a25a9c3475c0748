"""An exported site needs a file server and no more: every chapter opens on it and shows what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sites import plain
from watched_page import CHAPTERS, Watched, number

from bitwright.explorer.exhibits import EXHIBITS, Documents
from bitwright.explorer.export import export
from bitwright.explorer.subject import Subject

FEWER = {"machines": "qwen3-14b", "chip": "rtx-4090-24gb"}  # of many documents that take seconds, those that open first
SITE = EXHIBITS | {name: replace(EXHIBITS[name], keys=lambda s, key=key: (key,)) for name, key in FEWER.items()}


@pytest.fixture(scope="module")
def recorded(stories260k: Path) -> Documents:
    """What the site holds."""
    return Documents(Subject(stories260k, "stories260K", live=False, threads=1), SITE)


@pytest.fixture(scope="module")
def exported(browser: Any, recorded: Documents, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A page of the site."""
    folder = tmp_path_factory.mktemp("site")
    export(recorded, folder / "site")
    with plain(folder / "site") as address:
        page = browser.new_page()
        yield Watched(page, address)
        page.close()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_needs_only_a_file_server(exported: Watched, chapter: str) -> None:
    shown = exported.open(chapter)
    assert shown.locator("main figure").count() and not shown.locator("main .problem").count()
    assert not exported.wrong


def test_what_was_recorded_is_shown(exported: Watched, recorded: Documents) -> None:
    for chapter in ("next-token", "compounding"):
        shown = exported.open(f"{chapter}?prompt=mine&recipe=q8_0")
        assert "run the pages on your machine" in shown.locator("main").inner_text()
        assert not shown.locator("textarea, [data-control='write']").count()
        assert shown.locator("[data-control='recipe']").input_value() == "q8_0"
        assert shown.locator("[data-control='example']").input_value() != "mine" and shown.locator(".token").count()
    assert "first look" in exported.open("allocation").locator("main").inner_text()
    assert not exported.wrong


@pytest.mark.slow  # every control of three pages; test_what_was_recorded_is_shown asks for no more than was recorded
def test_another_recipe_and_another_text(exported: Watched, recorded: Documents) -> None:
    for recipe in recorded.subject.models.recipes:
        found = {name: recorded[f"{name}/{recipe}"] for name in ("next-token", "compounding", "survival", "plans")}
        shown = exported.open("next-token")
        shown.locator("[data-control=recipe]").select_option(recipe)
        shown.wait_for_selector("main .waiting", state="detached")
        for one in found["next-token"]["prompts"]:
            shown.locator("[data-control=example]").select_option(one["prompt"])
            divergence = one["after"][-1]["divergence"]
            assert number(exported.value("divergence")) == pytest.approx(divergence, rel=1e-3, abs=1e-9)
        shown = exported.open("compounding")
        shown.locator("[data-control=recipe]").select_option(recipe)
        shown.wait_for_selector("main .waiting", state="detached")
        assert number(exported.value("rate")) == pytest.approx(100 * found["survival"]["rate"]["value"], abs=0.051)
        for one in found["compounding"]["prompts"]:
            shown.locator("[data-control=example]").select_option(one["prompt"])
            shown.locator("[data-control=seen]").fill("1")
            first = one["steps"][0]["reference"]
            assert number(exported.value("took").rpartition(" ")[2]) == pytest.approx(
                100 * first["probability"], abs=0.051
            )
    assert not exported.wrong
