"""The chat page at /, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from scripted import Scripted
from serving import serving
from watched_page import AXE, Watched, violations

from bitwright.engine import load
from bitwright.server.service import Service

Visit = Callable[[str], Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens the page of a server in a browser that knows nothing yet. Nothing may go wrong on it but what the test
    takes off `visit.wrong`."""
    context = browser.new_context(viewport={"width": 1100, "height": 800}, reduced_motion="reduce")
    watched = []

    def opened(address: str) -> Any:
        watched.append(Watched(context.new_page(), address))
        watched[-1].page.goto(address)
        return watched[-1].page

    opened.wrong = lambda: [wrong for own in watched for wrong in own.wrong]  # type: ignore[attr-defined]
    yield opened
    context.close()


def say(page: Any, text: str) -> None:
    page.locator("[data-control=message]").fill(text)
    page.keyboard.press("Enter")


def answered(page: Any, count: int) -> Any:
    """The last of so many answers, once it is complete."""
    page.wait_for_selector("[role=log][aria-busy=false]")
    page.wait_for_selector(f"section.turn.assistant >> nth={count - 1}")
    page.wait_for_selector("[data-control=send]")
    return page.locator("section.turn.assistant").nth(count - 1)


def test_a_conversation(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    """It is streamed and shown as the Markdown it is; the next question has what was said before."""
    own, address = scripted
    own.script = "# Sum\nUse *the* **builtin** `sum`:\n```python\na = [1, 2]\nsum(a)  # 3\n```\n1. one\n2. two\n"
    page = visit(address)
    asked: list[Any] = []
    page.on("request", lambda request: request.method == "POST" and asked.append(json.loads(request.post_data)))
    assert page.locator(".about").first.inner_text().startswith("scripted, ")
    page.locator("summary").filter(has_text="System message").click()
    page.locator("[data-control=system]").fill("Be brief.")
    say(page, "How do I add?\nIn Python.")
    answer = answered(page, 1)
    assert answer.locator("pre code").inner_text() == "a = [1, 2]\nsum(a)  # 3"
    assert (
        answer.locator("strong").all_inner_texts() == ["Sum", "builtin"] and answer.locator("em").inner_text() == "the"
    )
    assert answer.locator("ol li").all_inner_texts() == ["one", "two"]
    assert "tokens/s" in answer.locator(".about").inner_text()
    assert page.evaluate("document.activeElement.dataset.control") == "message"
    say(page, "Thanks.")
    answered(page, 2)
    assert [message["role"] for message in asked[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert asked[1]["messages"][2]["content"].startswith("# Sum") and asked[1]["stream"] is True
    page.locator("[data-control=anew]").click()
    assert page.locator("section.turn").count() == 0
    assert visit.wrong() == []  # type: ignore[attr-defined]


def test_lists_within_lists_and_text_from_right_to_left(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page = visit(scripted[1])
    text = "1. one\n   - in\n     * further\n   - last\n2. two\n- bare\n\nשלום\n"
    page.route(ASKED, lambda route: route.fulfill(**streamed({"content": text})))
    say(page, "List.")
    answer = answered(page, 1)
    tree = "(list) => [...list.children].map((item) => [item.firstChild.data, ...[...item.children].flatMap(TREE)])"
    found = answer.evaluate(
        f"(answer) => {{ const TREE = {tree}; return [...answer.children].slice(1, 3).flatMap(TREE) }}"
    )
    assert found == [["one", ["in", ["further"]], ["last"]], ["two"], ["bare"]]
    sides = "(p) => { const text = new Range(); text.selectNodeContents(p);"
    sides += " return [text, p].map((own) => own.getBoundingClientRect().right) }"
    text_ends, paragraph_ends = answer.locator("p").filter(has_text="שלום").evaluate(sides)
    assert abs(text_ends - paragraph_ends) < 1


def test_what_a_model_writes_is_never_run(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    own, address = scripted
    own.script = "<img src=x onerror='window.ran = 1'> **<script>window.ran = 1</script>** [a](javascript:window.ran=1)"
    page = visit(address)
    say(page, "<b>Hello</b>")
    answer = answered(page, 1)
    assert own.script.replace("**", "") in answer.inner_text()
    assert "<b>Hello</b>" in page.locator("section.turn.user").inner_text()
    assert page.evaluate("window.ran") is None
    assert page.locator("[role=log] :is(img, script, a, b)").count() == 0 and visit.wrong() == []  # type: ignore[attr-defined]


def test_an_answer_can_be_stopped_and_what_came_stays(visit: Visit, address: str) -> None:
    page = visit(address)
    say(page, "Tell me a very long story about the sea.")
    page.wait_for_selector("section.turn.assistant p:not(.about)")
    page.locator("[data-control=stop]").click()
    answer = answered(page, 1)
    assert "Stopped." in answer.inner_text() and answer.locator("p").count() > 1
    assert visit.wrong() == []  # type: ignore[attr-defined]


def test_what_the_server_refuses_is_said_and_the_message_kept(visit: Visit, address: str) -> None:
    page = visit(address)
    say(page, "word " * 1200)
    assert "exceeds the context" in page.locator("[role=alert]").inner_text()
    assert page.locator("[data-control=message]").input_value().startswith("word word")
    assert page.locator("section.turn").count() == 0


ASKED = "**/v1/chat/completions"


def streamed(*deltas: dict[str, str], end: str = "data: [DONE]\n\n") -> dict[str, str]:
    """An answer of these pieces, for `route.fulfill`."""
    chunks = [json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}) for delta in deltas]
    return {"content_type": "text/event-stream", "body": "".join(f"data: {chunk}\n\n" for chunk in chunks) + end}


def test_a_server_that_is_not_there_yet_is_waited_for(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page = visit(scripted[1])
    page.route("**/v1/models", lambda route: route.fulfill(status=503, json={"error": {"message": "loading"}}))
    page.reload()
    assert "being loaded" in page.locator("[role=status]").inner_text()
    page.unroute("**/v1/models")
    page.route("**/v1/models", lambda route: route.abort())
    page.wait_for_selector("[role=alert]:has-text('cannot be reached')")
    page.unroute("**/v1/models")
    page.wait_for_selector("[data-control=message]")
    assert page.locator(":is([role=alert], [role=status])").count() == 0


def test_what_came_before_the_server_went_away_stays(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page = visit(scripted[1])
    page.route(ASKED, lambda route: route.fulfill(**streamed({"content": "One"}, end="")))
    say(page, "Count.")
    assert "broke off" in page.locator("[role=alert]").inner_text() and "One" in answered(page, 1).inner_text()
    page.route(ASKED, lambda route: route.abort())
    say(page, "Again.")
    page.wait_for_selector("[role=alert]:has-text('cannot be reached')")
    assert page.locator("[data-control=message]").input_value() == "Again."


def test_a_key_that_is_wanted_later_can_be_given(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page = visit(scripted[1])
    page.route(ASKED, lambda route: route.fulfill(status=401, json={"error": {"message": "a key"}}))
    say(page, "Hello")
    page.locator("[data-control=key]").fill("sk-1")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-control=key]", state="detached")
    assert page.locator("[data-control=message]").input_value() == "Hello"


def test_reasoning_is_folded_once_the_answer_begins(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page = visit(scripted[1])
    parts = [{"reasoning_content": "hmm"}, {"content": "Yes"}]
    for count in (1, 2):
        answer = streamed(*parts[:count])
        page.route(ASKED, lambda route: route.fulfill(**answer))  # noqa: B023  the latest
        say(page, "Is it?")
        assert answered(page, count).locator("details[open]").count() == 2 - count


def test_an_answer_that_ends_takes_no_focus_from_elsewhere(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    page, held = visit(scripted[1]), list[Any]()
    page.route(ASKED, lambda route: held.append(route))
    say(page, "Go on.")
    while not held:
        page.wait_for_timeout(20)
    page.locator("summary").first.focus()
    held[0].fulfill(**streamed({"content": "One"}))
    answered(page, 1)
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_on_a_phone_enter_begins_a_line(browser: Any, scripted: tuple[Scripted, str]) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(scripted[1])
    say(page, "One")
    assert page.locator("[data-control=message]").input_value() == "One\n" and "Enter" not in page.content()
    page.locator("[data-control=send]").tap()
    answered(page, 1)
    context.close()


def test_a_long_answer_is_drawn_now_and_then(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    """Not for every token: on the user's machine, the browser would take the processor from the model."""
    page = visit(scripted[1])
    page.route(ASKED, lambda route: route.fulfill(**streamed(*[{"content": "word "}] * 3000)))
    page.wait_for_selector("[role=log]", state="attached")
    page.evaluate("""new MutationObserver(() => (window.drawn = (window.drawn ?? 0) + 1)).observe(
        document.querySelector("[role=log]"), {subtree: true, childList: true, characterData: true})""")
    say(page, "Go on.")
    assert answered(page, 1).inner_text().count("word") == 3000
    assert 0 < page.evaluate("window.drawn") < 300


def test_a_key_is_typed_once_in_a_tab(visit: Visit, browser: Any, smollm2: Path) -> None:
    with serving(Service(load(smollm2, context=64), "keyed", parallel=1, cache=0), "sk-1") as address:
        page = visit(address)
        for wrong in ("wrong", "wröng €"):  # HTTP cannot send the second
            page.locator("[data-control=key]").fill(wrong)
            page.locator("[data-control=enter]").click()
            assert "does not take" in page.locator("[role=alert]").inner_text()
        page.locator("[data-control=key]").fill("sk-1")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-control=message]")
        page.reload()
        page.wait_for_selector("[data-control=message]")
        assert page.evaluate("[...Object.values(localStorage), document.cookie]") == [""]
        other = visit(address)  # another tab
        other.wait_for_selector("[data-control=key]")
        with httpx2.Client(base_url=address) as web:
            assert web.get("/v1/models").status_code == web.get("/chat/../v1/models").status_code == 401


def test_keyboard_phone_and_readers(visit: Visit, scripted: tuple[Scripted, str]) -> None:
    own, address = scripted
    own.script = "Yes:\n```\n" + "long " * 16 + "\n```\n" + "w" * 64
    page = visit(address)
    say(page, "Hello")
    answered(page, 1)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1100, "height": 800})
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.control ?? document.activeElement.tagName"))
    assert {"SUMMARY", "PRE", "message", "anew"} <= set(reached), reached
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web/)")
    page.evaluate("document.querySelectorAll('details').forEach((folded) => (folded.open = true))")
    page.locator("[data-control=message]").fill("more")
    assert violations(page) == []
