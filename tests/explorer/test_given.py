"""What a user gives the pages to show is checked, and what cannot be shown is said."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from watched_page import Watched

from bitwright.errors import UsageError
from bitwright.explorer import app, given
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
    with app.listen(0) as listening:
        port = listening.getsockname()[1]
        documents = Documents(Subject(stories260k, "m", report=tmp_path / "r.json"))
        server = uvicorn.Server(uvicorn.Config(app.application(documents, port), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        page = browser.new_page()
        Watched(page, f"http://127.0.0.1:{port}/")
        page.goto(f"http://127.0.0.1:{port}/#damage")
        assert "cannot show what it was given" in page.locator("main .problem").inner_text()
        page.goto(f"http://127.0.0.1:{port}/#bits")
        assert page.locator("main h1").inner_text() == "Bits"
        page.close()
        server.should_exit = True
        thread.join()
