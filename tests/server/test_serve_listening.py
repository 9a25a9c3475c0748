"""Clients that stall are let go, without a model."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bitwright.server import listening

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Endless:
    """An application whose answers have no end. left: a client that asked is gone."""

    def __init__(self) -> None:
        self.left = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(self.gone(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
            await asyncio.sleep(0)
        self.left.set()

    async def gone(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Endless, socket.socket]]:
    """The application, and a connection to it that may stall for a moment."""
    monkeypatch.setattr(listening, "STALLED", 0.2)
    app, own = Endless(), listening.listen("127.0.0.1", 0)
    with listening.serving(app, own), socket.create_connection(own.getsockname(), 60) as connection:
        yield app, connection


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("begun", [b"", b"GET / HT", ASK[:-2]])
def test_a_request_that_stalls_in_its_head(endless: tuple[Endless, socket.socket], begun: bytes) -> None:
    _, connection = endless
    connection.sendall(begun)
    assert is_closed(connection)


def test_an_answer_that_is_not_read(endless: tuple[Endless, socket.socket]) -> None:
    app, connection = endless
    connection.sendall(ASK)
    assert app.left.wait(60)


def test_an_answer_that_is_read_may_take_longer(endless: tuple[Endless, socket.socket]) -> None:
    app, connection = endless
    connection.sendall(ASK)
    for _ in range(20):
        assert not app.left.wait(0.05)
        read = 0
        while read < 8 << 20:  # more than waits to be read
            read += len(connection.recv(1 << 20))
    connection.close()
    assert app.left.wait(60)


def test_a_connection_too_many_is_told_to_come_again(
    endless: tuple[Endless, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, connection = endless
    connection.sendall(ASK)
    assert connection.recv(4) == b"HTTP"
    monkeypatch.setattr(listening, "CONNECTIONS", 1)
    with socket.create_connection(connection.getpeername(), 60) as other:
        said = b"".join(iter(lambda: other.recv(1 << 16), b""))
    assert said.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 5" in said
    assert connection.recv(4) and not app.left.is_set()
