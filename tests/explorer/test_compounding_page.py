"""Compounding: the page shows where two models part, over prompts and over steps, as Python computes it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from watched_page import Watched

from bitwright.explorer import app
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject
from bitwright.views import parting

ASKED = {"prompt": "Once upon a time", "recipe": "q4_0", "tokens": 30}


def parted(steps: list[dict[str, Any]]) -> int:
    """The first step, counted from 1, at which two models that have read the same write different tokens."""
    return next(s["step"] for s in steps if s["together"] and s["reference"] != s["candidate"]
                and s["reference"]["text"] != s["candidate"]["text"])  # fmt: skip


@pytest.mark.slow  # SmolLM2 and its copy write and plan for it; test_recorded_pages.py has a small model do so
def test_the_page_shows_what_python_computes(
    page: Watched, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {name: documents[f"{name}/q4_0"] for name in ("compounding", "survival", "plans")}
    shown = page.open("compounding")
    first = parted(found["compounding"]["prompts"][1]["steps"])
    assert page.value("parts") == f"at token {first}"
    shown.locator("[data-control='seen']").fill(str(first - 1))
    assert page.value("parts") == f"not within {first - 1} tokens"
    shown.locator("[data-control='to-parting']").click()
    assert page.value("took") != page.value("candidate-took") and page.value("parts") == f"at token {first}"

    median, rate = found["survival"]["median"], found["survival"]["rate"]["value"]
    assert page.value("median").startswith(f"{median:g} token")
    assert page.value("rate").startswith(f"{100 * rate:.1f}%")
    shown.locator("[data-control='chance']").focus()
    shown.keyboard.press("Home")  # one in a thousand
    assert float(page.value("half-life")) == pytest.approx(692.8, rel=1e-3)
    assert page.value("hundred") == "90.5%"

    for family in found["plans"]["families"]:
        shown.locator(f"[data-control='task'] input[value='{family['name']}']").check()
        rows = [row["candidate"] for row in family["example"]["rows"]]
        wrong = next((n for n, row in enumerate(rows) if row["right"] is False), None)
        assert page.value("wrong") == ("nowhere here" if wrong is None else f"at step {wrong + 1}")
        after = [] if wrong is None else [row for row in rows[wrong + 1 :] if row["right"] and not row["on_path"]]
        assert page.value("following") == str(len(after))
        steps = shown.get_by_role("figure", name="A wrong step").locator("tbody tr")
        assert steps.count() == len(rows)
        shown.locator("[data-control='step']").fill("3")
        assert steps.count() == 3 and rows[2]["said"] in steps.nth(2).inner_text()
        shown.locator("[data-control='step']").fill(str(len(rows)))

    stopped, steps_of = threading.Event(), parting.steps

    def unfinished(*given: Any) -> Iterator[dict[str, Any]]:
        yield from itertools.islice(steps_of(*given), 4)
        stopped.wait(60)

    monkeypatch.setattr(parting, "steps", unfinished)
    shown.locator("[data-control='prompt']").fill("One, two, three,")
    shown.locator("[data-control='write']").click()
    shown.wait_for_selector(".token >> text=four")
    shown.locator("[data-control='stop']").click()
    stopped.set()


@pytest.fixture(scope="module")
def small(stories260k: Path) -> Documents:
    return Documents(Subject(stories260k, "stories260K", threads=1))


def test_texts_come_token_by_token(small: Documents) -> None:
    client = TestClient(app.application(small, 8484), base_url="http://127.0.0.1:8484")
    answer = client.post("/live/compounding", json=ASKED)
    assert answer.headers["content-type"].startswith("text/event-stream")
    steps = [json.loads(event.removeprefix("data: ")) for event in answer.text.strip().split("\n\n")]
    assert [s["step"] for s in steps] == list(range(1, len(steps) + 1)) and len(steps) == 30
    assert steps[0]["together"] and steps[0]["divergence"] > 0
    assert all(s["divergence"] is None for s in steps if not s["together"])
    for wrong in ({"tokens": 97}, {"tokens": "9"}, {"tokens": 0}, {"tokens": True}, {"recipe": "q9"}):
        assert client.post("/live/compounding", json={**ASKED, **wrong}).status_code == 400


def test_work_ends_when_the_page_goes_away(small: Documents) -> None:
    """A client that hangs up after the first token: the rest is not computed, and the next question has its turn."""
    application = app.application(small, 8484)
    headers = [(b"host", b"127.0.0.1:8484"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/live/compounding", "headers": headers, "query_string": b"",
             "raw_path": b"", "root_path": "", "scheme": "http", "asgi": {"version": "3"}}  # fmt: skip

    async def ask(hang_up: bool) -> int:
        body = json.dumps(ASKED | {"tokens": 90}).encode()
        heard, gone, asked = 0, asyncio.Event(), [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal heard
            heard += bool(message.get("body"))
            if hang_up and heard:
                gone.set()

        await application(scope, receive, send)  # type: ignore[arg-type]
        return heard

    async def both() -> tuple[int, int]:
        return await ask(True), await ask(False)

    with ThreadPoolExecutor(1) as elsewhere:  # the browser's loop runs in this thread
        cut, whole = elsewhere.submit(lambda: asyncio.run(asyncio.wait_for(both(), 300))).result()
    assert cut < 10 and whole == 90
