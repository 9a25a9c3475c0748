"""Servers of the explorer for tests: the live one, and a plain one for an exported site."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bitwright.explorer import app
from bitwright.explorer.exhibits import Documents
from bitwright.server import listening


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server that prints nothing."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def live(documents: Documents) -> Iterator[str]:
    """The address of a server with these documents."""
    own = listening.listen("127.0.0.1", 0)
    with listening.serving(app.application(documents, own.getsockname()[1]), own):
        yield f"{listening.address(own)}/"


@contextmanager
def plain(folder: Path) -> Iterator[str]:
    """The address of a server with the files of a folder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
