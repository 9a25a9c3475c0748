"""The first requests of clients: what a server answers passes, and an answer that a client cannot use is found."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bitwright.errors import UsageError
from bitwright.server.connect import checks
from bitwright.server.connect.asking import AskError, Event, Served, Server
from bitwright.server.connect.clients import CLIENTS
from bitwright.server.gaps import Gaps
from bitwright.server.service import Service

SERVED = Served("http://127.0.0.1:9931", None, "m", 100, True, True)


def problems(client: str, server: Any, served: Served = SERVED) -> dict[str, str]:
    return {own.request: own.problem for own in checks.run(client, server, served) if own.problem}


def test_every_client_has_checks() -> None:
    assert list(checks.CHECKS) == list(CLIENTS)


@pytest.mark.parametrize("client", ["continue", "aider", "cline", "opencode", "zed", "codex", "claude"])
def test_the_server_answers_what_clients_ask_first(client: str, address: str) -> None:
    server = Server(address)
    served = Served.by(server)
    assert (served.model, served.context, served.fills, served.calls) == ("smollm2", 1024, False, False)
    assert problems(client, server, served) == {}


def test_gaps(address: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tokens for gaps all is well; without them the server says what is missing."""
    server = Server(address)
    found = problems("llama-vscode", server, Served.by(server))
    assert (
        set(found) == {"warm-up of a gap", "proposals for a gap"} and "no token for prefix" in found["warm-up of a gap"]
    )
    monkeypatch.setattr(service, "gaps", Gaps(4, 5, 6, 7))
    served = Served.by(server)
    assert served.fills and problems("llama-vscode", server, served) == {}


class Canned:
    """A server that answers each question with one answer, or with events."""

    def __init__(self, answer: Any, named: bool = False) -> None:
        self.answer, self.named = answer, named

    def get(self, path: str) -> Any:
        return self.answer

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.answer

    def events(self, path: str, body: dict[str, Any]) -> Iterator[Event]:
        for item in self.answer:
            yield Event(item["type"] if self.named else "", item if isinstance(item, str) else json.dumps(item))


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


CHAT: list[Any] = [
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Hi"}),
    chunk({}, "stop"),
    {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 5}},
    "[DONE]",
]
RESPONSE: list[Any] = [
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_item.done", "item": {"type": "message"}},
    {"type": "response.completed", "response": {"id": "r", "usage": {"total_tokens": 5}}},
]
MESSAGE: list[Any] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 3}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
PROPOSAL = {"content": "x", "timings": {"prompt_n": 1, "predicted_ms": 2.0}}
LISTED = {"data": [{"id": "m", "object": "model", "meta": {"n_ctx": 100}}]}


def said(answer: Any, change: Callable[[Any], object] | None, check: checks.Check, named: bool = False) -> str:
    """What a check says about an answer, changed."""
    answer = copy.deepcopy(answer)
    if change is not None:
        change(answer)
    try:
        check(Canned(answer, named), SERVED)  # type: ignore[arg-type]
    except (AskError, LookupError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


CHAT_CHECK = checks.chat(checks.PLAIN, True)
WRONG: list[tuple[Any, checks.Check, bool, Callable[[Any], object]]] = [
    (CHAT, CHAT_CHECK, False, lambda own: own.pop()),
    (CHAT, CHAT_CHECK, False, lambda own: own.pop(3)),
    (CHAT, CHAT_CHECK, False, lambda own: own.pop(2)),
    (CHAT, CHAT_CHECK, False, lambda own: own.pop(1)),
    (CHAT, CHAT_CHECK, False, lambda own: own.pop(0)),
    (CHAT, CHAT_CHECK, False, lambda own: own.insert(2, chunk({"content": "x"}, "stop"))),
    (CHAT, CHAT_CHECK, False, lambda own: own.insert(2, {"error": {"message": "no"}})),
    (CHAT, CHAT_CHECK, False, lambda own: own.insert(2, chunk({"tool_calls": [{"id": "a"}]}))),
    (CHAT, checks.chat(checks.PLAIN, False), False, lambda own: None),
    (RESPONSE, checks.responses, False, lambda own: own.pop()),
    (RESPONSE, checks.responses, False, lambda own: own.pop(1)),
    (RESPONSE, checks.responses, False, lambda own: own.pop(0)),
    (RESPONSE, checks.responses, False, lambda own: own[2]["response"].pop("usage")),
    (MESSAGE, checks.messages, True, lambda own: own.pop()),
    (MESSAGE, checks.messages, True, lambda own: own.pop(5)),
    (MESSAGE, checks.messages, True, lambda own: own.pop(4)),
    (MESSAGE, checks.messages, True, lambda own: own.pop(0)),
    (MESSAGE, checks.messages, False, lambda own: None),
    ([PROPOSAL] * 3, checks.infill, False, lambda own: own.pop()),
    ([PROPOSAL] * 3, checks.infill, False, lambda own: own[0].pop("timings")),
    ({"content": ""}, checks.warm, False, lambda own: own.update(content="x")),
    ({"input_tokens": 7}, checks.count_tokens, False, lambda own: own.update(input_tokens=0)),
    (LISTED, checks.models, False, lambda own: own["data"][0]["meta"].update(n_ctx=99)),
    (LISTED, checks.models, False, lambda own: own["data"].clear()),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_an_answer_that_a_client_cannot_use_is_found(case: int) -> None:
    answer, check, named, change = WRONG[case]
    assert said(answer, change, check, named)


@pytest.mark.parametrize(
    ("answer", "check", "named"),
    [
        (CHAT, CHAT_CHECK, False),
        (CHAT[:3] + CHAT[4:], checks.chat(checks.PLAIN, False), False),
        (RESPONSE, checks.responses, False),
        (MESSAGE, checks.messages, True),
        ([PROPOSAL] * 3, checks.infill, False),
        ({"content": ""}, checks.warm, False),
        ({"input_tokens": 7}, checks.count_tokens, False),
        (LISTED, checks.models, False),
    ],
)
def test_an_answer_as_it_should_be_passes(answer: Any, check: checks.Check, named: bool) -> None:
    assert said(answer, None, check, named) == ""


def test_an_answer_of_another_shape_is_one_failed_check_and_no_crash() -> None:
    found = problems("claude", Canned([[1], {"type": None}]))
    assert set(found) == {"message with tools", "count of tokens"}


@pytest.mark.parametrize("url", ["127.0.0.1:9931", "ftp://a", "http://", "http://a:b", "http://a\nb", "http://a?b"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        Server(url)


@pytest.mark.parametrize("key", ["s€cret", "two\nlines"])
def test_a_key_that_http_cannot_send_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="HTTP cannot send"):
        Server("http://a", key)


@contextlib.contextmanager
def saying(*answers: bytes) -> Iterator[tuple[Server, list[bytes]]]:
    """A server that gives each of these to one client, and hangs up; and what it was asked."""
    asked: list[bytes] = []

    def talk() -> None:
        for answer in answers:
            try:
                client, _ = listening.accept()
            except OSError:  # nobody asked as often
                return
            with client:
                asked.append(client.recv(1 << 16))
                client.sendall(answer.replace(b"PORT", b"%d" % port))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=talk, daemon=True).start()
        yield Server(f"http://127.0.0.1:{port}", "sk-1"), asked


@pytest.mark.parametrize("body", ["data: {}\n\n", "5\r\nda", "x\r\n"])
def test_an_answer_that_breaks_off_is_a_failed_check(body: str) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    with saying(f"{head}{body}".encode()) as (server, _):
        assert "chat" in problems("aider", server)


def test_no_other_address_gets_the_key() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:PORT/elsewhere\r\nContent-Length: 0\r\n\r\n"
    with saying(moved, moved) as (server, asked):
        with pytest.raises(AskError, match="302"):
            server.get("/v1/models")
        assert len(asked) == 1


def test_an_address_may_end_as_clients_write_it() -> None:
    assert {Server(f"http://a:1{end}").url for end in ("", "/", "/v1", "/v1/")} == {"http://a:1"}
