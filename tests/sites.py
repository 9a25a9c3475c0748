"""Servers of the explorer for tests: the live one, and a plain one for an exported site."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from bitwright.explorer import app
from bitwright.explorer.exhibits import Documents


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server that prints nothing."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def live(documents: Documents) -> Iterator[str]:
    """The address of a server with these documents."""
    with app.listen(0) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(app.application(documents, port), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/"
        server.should_exit = True
        thread.join()


@contextmanager
def plain(folder: Path) -> Iterator[str]:
    """The address of a server with the files of a folder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
