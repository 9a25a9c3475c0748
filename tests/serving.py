"""A server in a thread of the tests' process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from bitwright.server import app, listening
from bitwright.server.service import Service


@contextlib.contextmanager
def serving(service: Service, key: str | None = None, origins: tuple[str, ...] = ()) -> Iterator[str]:
    """The address of a server, until the block ends."""
    socket = listening.listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app.application(service, "127.0.0.1", key, origins), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.address(socket)
    finally:
        server.should_exit = True
        thread.join()
