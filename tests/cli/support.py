"""Running the command line as a user does, in a separate process with signals and pipes, and checking the result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Any

COMMAND = [sys.executable, "-m", "bitwright"]


@dataclass
class Outcome:
    """The result of a command: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Starts the command in a separate process with pipes, where Ctrl-C works even if this process ignores it (as in a
    shell's background jobs)."""
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [*COMMAND, *map(str, arguments)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, text=True, env=environment, preexec_fn=heard, **pipes)


def finish(process: subprocess.Popen[str], stdin: str = "") -> Outcome:
    with process:
        try:
            out, err = process.communicate(stdin, timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Outcome(process.returncode, out, err)


class Page(HTMLParser):
    """Collects what a page would fetch, its title, and the report that it holds."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.texts: dict[str, str] = {}
        self.open = ""
        self.feed(source)
        self.title = self.texts["title"]
        self.report: Any = json.loads(self.texts["script application/json"])

    def handle_starttag(self, tag, attrs) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href", "data", "srcset")]
        self.open = " ".join([tag, *(value for name, value in attrs if tag == "script" and name == "type")])
        if tag in ("link", "iframe", "img"):
            self.fetched.append(tag)

    def handle_data(self, data) -> None:
        self.texts[self.open] = self.texts.get(self.open, "") + data

    def handle_endtag(self, tag) -> None:
        self.open = ""


def check_page(source: str) -> Page:
    """Asserts that a report's page fetches nothing, and may not."""
    page = Page(source)
    assert not page.fetched and "@import" not in source and "default-src 'none'" in source
    return page
