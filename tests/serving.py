"""A server in a thread of the tests' process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bitwright.server import app, listening
from bitwright.server.service import Service


@contextlib.contextmanager
def serving(service: Service | None, key: str | None = None, origins: tuple[str, ...] = ()) -> Iterator[str]:
    """The address of a server, until the block ends. Without a service, it is one whose model is being loaded."""
    socket, web = listening.listen("127.0.0.1", 0), app.application("127.0.0.1", key, origins)
    with listening.serving(web, socket):
        if service is not None:
            app.begin(web, service)
        yield listening.address(socket)
