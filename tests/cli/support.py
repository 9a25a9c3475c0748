"""Running the command line as a user does, in a separate process with signals and pipes, and checking the result."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

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
    """Collects the text of a page and what it would fetch."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.source = source
        self.feed(source)

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)
        addresses = [value for name, value in attrs if name in ("src", "href", "data", "srcset") and value]
        self.fetched += [value for value in addresses if not value.startswith("#")]
        if tag in ("script", "link", "iframe", "img"):
            self.fetched.append(tag)

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
            self.open.append("")


def check_page(source: str) -> Page:
    """Asserts that a report's page fetches nothing and that its drawings are valid."""
    page = Page(source)
    assert not page.fetched and "@import" not in source and "url(" not in source
    for drawing in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
        root = ElementTree.fromstring(drawing)
        assert len(root) > 5 and "nan" not in drawing
    return page
