"""What a user gives the pages to show is checked, and what cannot be shown is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sites import live

from bitwright.errors import UsageError
from bitwright.explorer import given
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "it is not JSON"), ("[1]", "got other JSON"), ("{}", "got other JSON"), ('{"headline": "a"}', "other JSON")],
)
def test_other_files_are_no_reports(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(UsageError, match=f"r.json: expected a report that .*{said}"):
        given.report(tmp_path / "r.json")
    with pytest.raises(UsageError, match="No such file"):
        given.report(tmp_path / "none.json")


def test_a_report_may_hold_nan(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"headline": "a", "kl_divergence": {"mean": NaN}}')
    found = given.report(tmp_path / "r.json")
    assert json.dumps(found, allow_nan=False) and found["report"]["kl_divergence"]["mean"] is None


def test_a_page_says_that_it_cannot_show_a_report(browser: Any, stories260k: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"headline": "fine", "models": 5}')
    with live(Documents(Subject(stories260k, "m", report=tmp_path / "r.json"))) as address:
        page = browser.new_page()
        page.goto(f"{address}#damage")
        assert "cannot show what it was given" in page.locator("main .problem").inner_text()
        page.goto(f"{address}#bits")
        assert page.locator("main h1").inner_text() == "Bits"
        page.close()
