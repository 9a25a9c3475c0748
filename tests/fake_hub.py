"""A Hugging Face hub on 127.0.0.1: it answers the few requests of huggingface_hub and records them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
        self.stored: dict[str, bytes] = {}  # large files that were sent, by SHA-256
        self.heads: dict[str, str] = {}  # the latest commit of repositories that were pushed to; of others, COMMIT
        self.commits: list[tuple[str, str, str | None]] = []  # repository, message, and the commit it follows

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
        elif revision not in (*REVISIONS, self.head(repo)):
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [{"rfilename": name} for name in self.server.repos[repo]]
            self.answer(200, json.dumps({"id": repo, "sha": self.head(repo), "siblings": siblings}).encode())

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0].strip("/").split("/")
        self.server.asked.append(f"{self.command} {self.path}")
        if not self.headers.get("Authorization"):
            self.answer(401, b"", {"X-Error-Message": "Invalid username or password."})
        elif path == ["api", "validate-yaml"]:
            self.reply({"errors": [], "warnings": []})
        elif path == ["api", "repos", "create"]:
            asked = json.loads(data)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repos.setdefault(repo, {})
            self.reply({"url": f"{self.server.address}/{repo}", "private": asked.get("private")})
        elif path[4:5] == ["preupload"]:
            modes = {True: "lfs", False: "regular"}
            self.reply({"files": [{"path": file["path"], "uploadMode": modes[file["path"].endswith(".gguf")],
                                   "shouldIgnore": False} for file in json.loads(data)["files"]]})  # fmt: skip
        elif path[-2:] == ["objects", "batch"]:
            self.reply({"transfer": "basic", "objects": [self.place(one) for one in json.loads(data)["objects"]]})
        elif path[4:5] == ["commit"]:
            self.commit("/".join(path[2:4]), [json.loads(line) for line in data.splitlines()])
        else:
            self.answer(404, b"")

    def do_PUT(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.stored[hashlib.sha256(data).hexdigest()] = data
        self.answer(200, b"")

    def place(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Where a large file is to be sent, if it is not here."""
        there = wanted["oid"] in self.server.stored
        return wanted if there else wanted | {"actions": {"upload": {"href": f"{self.server.address}/large"}}}

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, self.head(repo)):
            self.answer(412, b"", {"X-Error-Message": "A commit has happened since."})
            return
        self.server.commits.append((repo, header["summary"], header.get("parentCommit")))
        for line in lines[1:]:
            value = line["value"]
            whole = base64.b64decode(value["content"]) if line["key"] == "file" else self.server.stored[value["oid"]]
            self.server.repos[repo][value["path"]] = whole
        made = self.server.heads[repo] = f"{len(self.server.commits):040x}"
        self.reply({"success": True, "commitOid": made, "commitUrl": f"{self.server.address}/{repo}/commit/{made}"})

    def head(self, repo: str) -> str:
        return self.server.heads.get(repo, COMMIT)

    def reply(self, value: dict[str, Any]) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

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
            self.answer(206, part, {"Content-Range": place, "X-Repo-Commit": self.head(repo)})
            return
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        true = {"ETag": etag, "X-Repo-Commit": self.head(repo), "X-Linked-Size": str(len(content))}
        self.answer(200, content, true | self.server.headers.get(name, {}))

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
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
