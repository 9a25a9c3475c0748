"""Where the server listens, and uvicorn, which speaks HTTP there."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from bitwright.errors import UsageError

BACKLOG = 256  # connections that may wait to be accepted
KEEP_ALIVE = 75  # seconds; clients keep connections for a minute


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
        found.listen(BACKLOG)  # from now on clients may come: they wait until the model is loaded
    except OSError as error:
        found.close()
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}; --port 0 takes a free one") from None
    return found


def address(listening: socket.socket) -> str:
    """The address of a listening socket, for browsers and clients."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer until interrupted."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=10, ws="none",
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])
