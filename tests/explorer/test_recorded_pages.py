"""An exported site cannot ask: it shows what was recorded, and says what typing needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sites import plain
from watched_page import Watched

from bitwright.explorer.exhibits import EXHIBITS, Documents
from bitwright.explorer.export import export
from bitwright.explorer.subject import Subject

SHOWN = ("site", "next-token", "compounding", "survival", "plans", "allocation")


def test_an_exported_site_shows_what_was_recorded(browser: Any, stories260k: Path, tmp_path: Path) -> None:
    subject = Subject(stories260k, "stories260K", live=False, threads=1)
    export(Documents(subject, {name: EXHIBITS[name] for name in SHOWN}), tmp_path / "site")
    with plain(tmp_path / "site") as address:
        page = browser.new_page()
        watched = Watched(page, address)
        for chapter in ("next-token", "compounding"):
            shown = watched.open(f"{chapter}?prompt=mine&recipe=q8_0")
            assert "run the pages on your machine" in shown.locator("main").inner_text()
            assert not shown.locator("textarea, [data-control='write']").count()
            assert shown.locator("[data-control='recipe']").input_value() == "q8_0"
            assert shown.locator("[data-control='example']").input_value() != "mine" and shown.locator(".token").count()
        assert "first look" in watched.open("allocation").locator("main").inner_text()
        assert not watched.wrong
        page.close()
