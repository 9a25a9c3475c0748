"""A Hugging Face hub on 127.0.0.1: it answers the few requests of huggingface_hub and records them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v2", COMMIT)


class Hub(ThreadingHTTPServer):
    """Serves `repos`: {"org/name": {"file": content}}."""

    daemon_threads = True

    def __init__(self, repos: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.asked, self.sent = repos, [], 0  # sent: bytes of parts of files
        self.odd: dict[str, bytes] = {}  # what is answered for some repositories instead
        self.headers: dict[str, dict[str, str]] = {}  # of some files, instead of the true ones

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        self.server.asked.append(f"{self.command} {self.path}")
        if path[:2] == ["api", "models"]:
            self.model_info("/".join(path[2:4]), path[5] if len(path) > 5 else "main")
        elif path[2:3] == ["resolve"]:
            self.file("/".join(path[:2]), path[3], "/".join(path[4:]))
        else:
            self.answer(404, b"")

    do_HEAD = do_GET

    def model_info(self, repo: str, revision: str) -> None:
        if repo in self.server.odd:
            self.answer(200, self.server.odd[repo])
        elif repo == "org/broken":
            self.answer(503, b"")
        elif repo == "org/gated":
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif repo not in self.server.repos:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in REVISIONS:
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [{"rfilename": name} for name in self.server.repos[repo]]
            self.answer(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())

    def file(self, repo: str, revision: str, name: str) -> None:
        content = self.server.repos[repo].get(name)
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            part = content[int(asked[1]) : int(asked[2]) + 1]
            place = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(content)}"
            self.server.sent += len(part)
            self.answer(206, part, {"Content-Range": place, "X-Repo-Commit": COMMIT})
            return
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        true = {"ETag": etag, "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}
        self.answer(200, content, true | self.server.headers.get(name, {}))

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(repos: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    hub = Hub(repos)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
