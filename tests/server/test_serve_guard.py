"""Who may ask: the key, the name the server is asked by, and pages from elsewhere; and what its own page may do."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bitwright.explorer.guard import HEADERS
from bitwright.server.guard import Guard, is_loopback

KEY = "sk-secret"


def client(host: str = "127.0.0.1", key: str | None = None, origins: tuple[str, ...] = ()) -> TestClient:
    async def answer(request: Request) -> Response:
        return JSONResponse({"path": request.url.path})

    inner = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    return TestClient(Guard(inner, host, key, origins), base_url="http://127.0.0.1:9931")


@pytest.mark.parametrize("host", ["127.0.0.1:9931", "localhost:1", "[::1]:9931", "127.9.9.9", "LOCALHOST"])
def test_names_of_loopback_are_answered(host: str) -> None:
    assert client().get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9931", "", "[::2]", "[::1"]
)
def test_a_name_that_points_here_is_refused(host: str) -> None:
    answer = client().get("/v1/models", headers={"host": host})
    assert answer.status_code == 403 and "answers to 127.0.0.1" in answer.json()["error"]["message"]


def test_off_loopback_any_name_is_answered_with_the_key() -> None:
    open_to_all = client("0.0.0.0", KEY)
    headers = {"host": "box.lan:9931", "authorization": f"Bearer {KEY}"}
    assert open_to_all.get("/v1/models", headers=headers).status_code == 200
    assert open_to_all.get("/v1/models", headers={"host": "box.lan"}).status_code == 401


@pytest.mark.parametrize("headers", [
    {}, {"authorization": KEY}, {"authorization": "Bearer "}, {"authorization": f"Bearer {KEY}x"},
    {"authorization": f"Basic {KEY}"}, {"x-api-key": KEY[:-1]}, {"authorization": "Bearer ключ".encode()},
])  # fmt: skip
def test_a_wrong_key_is_refused_in_the_shape_each_client_knows(headers: dict[str, Any]) -> None:
    guarded = client(key=KEY)
    answer = guarded.get("/v1/models", headers=headers)
    assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"
    assert KEY not in answer.text
    assert guarded.post("/v1/messages", headers=headers).json()["type"] == "error"


def test_the_pages_files_are_open_and_what_lies_beside_them_is_not() -> None:
    guarded = client(key=KEY)
    assert guarded.get("/chat/app.css").status_code == 200
    assert guarded.post("/chat/completions").status_code == 401


def test_the_key_is_taken_as_openai_and_as_anthropic_send_it() -> None:
    guarded = client(key=KEY)
    for headers in ({"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"x-api-key": KEY}):
        assert guarded.get("/v1/models", headers=headers).status_code == 200
    assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1:9931", "https://localhost", "http://[::1]:8", "app://obsidian.md"],
)
def test_pages_of_this_machine_may_ask(origin: str) -> None:
    answer = client().get("/v1/models", headers={"origin": origin})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://", "http://[", "x", "apps://x"]
)
def test_pages_from_elsewhere_may_not(origin: str) -> None:
    guarded = client()
    for answer in (guarded.post("/v1/chat/completions", headers={"origin": origin}),
                   guarded.options("/v1/chat/completions", headers={"origin": origin})):  # fmt: skip
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


def test_an_allowed_page_may_and_asks_first() -> None:
    guarded = client(key=KEY, origins=("https://chat.example",))
    origin = {"origin": "https://chat.example", "access-control-request-headers": "authorization"}
    first = guarded.options("/v1/chat/completions", headers=origin)
    assert first.status_code == 204 and first.headers["access-control-allow-headers"] == "authorization"
    assert guarded.get("/v1/models", headers={**origin, "authorization": f"Bearer {KEY}"}).status_code == 200


@pytest.mark.parametrize(("host", "expected"), [
    ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
    ("10.0.0.1", False), ("127.evil.example", False), ("1270.0.0.1", False),
])  # fmt: skip
def test_what_counts_as_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_size_of_a_request_is_limited(web: httpx2.Client) -> None:
    answer = web.post("/v1/chat/completions", content=b'{"messages": "' + b"x" * (33 << 20) + b'"}')
    assert answer.status_code == 413 and "32 MiB" in answer.json()["error"]["message"]


def test_the_chat_page_is_open_and_asks_from_where_it_came() -> None:
    """Its files need no key; its questions do, from whatever name the server is asked by."""
    remote = client("0.0.0.0", KEY)
    for path in ("/", "/chat/chat.js"):
        assert remote.get(path).status_code == 200
    own = {"host": "box:9931", "origin": "http://box:9931"}
    assert remote.post("/v1/chat/completions", headers=own).status_code == 401
    assert remote.post("/v1/chat/completions", headers={**own, "x-api-key": KEY}).status_code == 200
    assert remote.post("/v1/models", headers={**own, "x-api-key": KEY, "origin": "http://box:80"}).status_code == 403


def test_the_pages_rules_are_the_explorers(web: httpx2.Client) -> None:
    page = web.get("/")
    assert page.headers["content-type"].startswith("text/html") and "chat/chat.js" in page.text
    script = web.get("/chat/chat.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for answer in (page, script):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert web.get("/chat/nothing.js").json()["error"]["type"] == "not_found_error"
    assert web.get("/chat/../../guard.py").status_code == 404
