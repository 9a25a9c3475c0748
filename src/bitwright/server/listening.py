"""Where a server listens, and uvicorn, which speaks HTTP there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bitwright.errors import UsageError

BACKLOG = 256  # connections that may wait to be accepted
CONNECTIONS = 640  # at the same time; with BACKLOG they leave some of the 1024 files that a process may usually open
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
KEEP_ALIVE = 75  # seconds; clients keep connections for a minute
ENDING = 30  # seconds for answers to end after the application was told; what is left is cut off
STALLED = 60  # seconds for the head of a request, and until a client has read some of what waits for it


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes any that is free. Raises UsageError if it cannot be had."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}: {error.strerror or error}") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(where)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}; --port 0 takes a free one") from None
    return found


def address(listening: socket.socket) -> str:
    """The address of a listening socket, for browsers and clients."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class Connection(H11Protocol):
    """A connection that ends if there are too many, or its client stalls: in the head of a request, or while an answer
    waits to be read. (The rest of a request has its time in http.body.)"""

    _timers: dict[str, asyncio.TimerHandle]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._timers = {}
        self._limit("head")
        if len(self.connections) > CONNECTIONS:
            transport.write(FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._unlimit("head")
        elif "head" not in self._timers:
            self._limit("head")

    def pause_writing(self) -> None:
        """Much of an answer waits to be read."""
        super().pause_writing()
        self._limit("answer")

    def resume_writing(self) -> None:
        """Little of an answer waits to be read."""
        super().resume_writing()
        self._unlimit("answer")

    def timeout_keep_alive_handler(self) -> None:
        """No request has come for a while."""
        if self.transport.get_write_buffer_size():  # to close would mean to wait until it is read
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._unlimit("head")
        self._unlimit("answer")
        super().connection_lost(exc)

    def _limit(self, what: str) -> None:
        self._timers[what] = self.loop.call_later(STALLED, self.transport.abort)

    def _unlimit(self, what: str) -> None:
        if (timer := self._timers.pop(what, None)) is not None:
            timer.cancel()


class Server(uvicorn.Server):
    """Tells the application that it ends before it waits for answers, so that the application can end them. uvicorn by
    itself waits first, and cancels them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        telling = asyncio.create_task(self.lifespan.shutdown())
        await super().shutdown(sockets)
        await telling


@contextlib.contextmanager
def serving(app: ASGIApp, listening: socket.socket) -> Iterator[threading.Thread]:
    """Answer in a thread until the block ends."""
    config = uvicorn.Config(
        app, http=Connection, log_level="warning", access_log=False, server_header=False, backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=ENDING, ws="none",
    )  # fmt: skip
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="bitwright-http", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join()


def wait(answering: threading.Thread) -> None:
    """Return when a thread has ended; a signal interrupts that on any system."""
    while answering.is_alive():
        time.sleep(1)
