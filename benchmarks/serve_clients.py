"""Whether editors' and agents' own programs work with `bitwright serve`: each is set up by `bitwright connect`, asked
for a file in a scratch repository, and the file is run.

    python benchmarks/serve_clients.py MODEL --client aider=PROGRAM --replay opencode=PROGRAM --replay codex=PROGRAM

--client has MODEL itself answer, up to --tries times: a small model seldom keeps to aider's form, and calls no tools.
With --replay it gives only its vocabulary, to a model whose weights spell the answer (replay_model.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import replay_model
from serving import OURS, served, threads

import bitwright as bw
from bitwright.cli import output
from bitwright.io import gguf
from bitwright.server.connect.clients import CLIENTS

LINE = 'print("hello")\n'
WISH = f"Write hello.py. It is one line: {LINE}"
LISTING = f"hello.py\n```\n{LINE}```\n"
PATIENCE = 900  # seconds that a client may take
HOP = {"connection", "content-length", "host", "transfer-encoding"}  # headers between two machines


@dataclass(frozen=True)
class Trial:
    """A client without a screen. arguments: what it is called with. answer: the call of a tool, or text, by which it
    writes a file into a folder. environment: what keeps it from the network. files: more settings, at home. called: the
    last line that `connect` says is a command that sets it up."""

    arguments: Sequence[str]
    answer: Callable[[Path], tuple[str, dict[str, str]] | str]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    called: bool = False


TRIALS = {
    "aider": Trial(
        ("--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-auto-commits",
         "--no-gitignore", "--no-show-release-notes", "--map-tokens", "0", "--edit-format", "whole", "--message",
         f"Repeat this file listing:\n\n{LISTING}", "hello.py"),
        lambda folder: LISTING,
        files={".aider.model.settings.yml": "- name: aider/extra_params\n  extra_params: {temperature: 0.7}\n"},
    ),
    "opencode": Trial(
        ("run", WISH),
        lambda folder: ("write", {"filePath": f"{folder}/hello.py", "content": LINE}),
        {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
    ),
    "cline": Trial(
        (WISH,), lambda folder: ("editor", {"path": f"{folder}/hello.py", "new_text": LINE}), called=True
    ),
    "codex": Trial(
        ("exec", "--sandbox", "danger-full-access", WISH),
        lambda folder: ("exec_command", {"cmd": f"echo '{LINE.strip()}' > hello.py"}),
    ),
    "claude": Trial(
        ("-p", WISH, "--permission-mode", "acceptEdits"),
        lambda folder: ("Write", {"file_path": f"{folder}/hello.py", "content": LINE}),
    ),
}  # fmt: skip


class Between(ThreadingHTTPServer):
    """Hands requests on to a server, and notes them: method, address and status of each. record: where bodies are
    kept, if anywhere."""

    daemon_threads = True

    def __init__(self, port: int, record: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port, self.record, self.url = port, record, f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, int]] = []

    def note(self, asked: str, status: int, body: bytes) -> None:
        """A request that was answered."""
        self.seen.append((asked, status))
        if self.record is not None:
            (self.record / f"{len(self.seen):03} {status} {asked.replace('/', '_')}.json").write_bytes(body)


class Handler(BaseHTTPRequestHandler):
    """One request, handed on as it is; the answer goes back piece by piece."""

    server: Between

    def log_message(self, *about: object) -> None:
        pass

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = HTTPConnection("127.0.0.1", self.server.port)
        there.request(self.command, self.path, body or None, kept(self.headers.items()))
        answer = there.getresponse()
        self.server.note(f"{self.command} {self.path.partition('?')[0]}", answer.status, body)
        self.send_response(answer.status)
        for name, value in kept(answer.getheaders()).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError), contextlib.closing(there):
            while piece := answer.read1(1 << 16):
                self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = hand_on


def kept(headers: Any) -> dict[str, str]:
    """The headers that are handed on."""
    return {name: value for name, value in headers if name.lower() not in HOP}


@contextlib.contextmanager
def between(url: str, record: Path | None) -> Iterator[Between]:
    """A notary between clients and the server at `url`."""
    if record is not None:
        record.mkdir(parents=True, exist_ok=True)
    found = Between(int(url.rpartition(":")[2]), record)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        found.shutdown()


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    version: str
    problem: str
    tries: int
    seconds: float
    seen: Sequence[tuple[str, int]]

    def row(self, client: str, model: str) -> list[str]:
        """A row of the table."""
        refused = [f"{asked}: {status}" for asked, status in self.seen if status >= 400]
        return [CLIENTS[client].title, self.version, model, self.problem or "works", str(self.tries),
                f"{self.seconds:.0f}", str(len(self.seen)), ", ".join(refused) or "none"]  # fmt: skip


HEADERS = ["client", "version", "model", "result", ">tries", ">seconds", ">requests", "refused"]


def tried(client: str, program: str, model: Path, replay: bool, args: argparse.Namespace) -> Outcome:
    """What comes of a client's trial, in a home and a repository that are new. Seconds and requests are the last
    try's."""
    trial = TRIALS[client]
    with tempfile.TemporaryDirectory() as name:
        home, folder = Path(name) / "home", Path(name) / "repository"
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", **trial.environment,
                       "PYTHONPATH": str(Path(bw.__file__).parents[1])}  # fmt: skip
        home.mkdir()
        folder.mkdir()
        for file, text in trial.files.items():
            (home / file).write_text(text)
        run(["git", "init", "--quiet"], folder, environment)
        if replay:
            answer, vocabulary, model = trial.answer(folder), model, Path(name) / "replay.gguf"
            replay_model.write(model, vocabulary, "" if isinstance(answer, str) else called(*answer),
                               answer if isinstance(answer, str) else "hello.py says hello.")  # fmt: skip
        told = gguf.open(model).metadata
        context = min(args.ctx, told[f"{told['general.architecture']}.context_length"])
        version = re.search(r"\d+(\.\d+)+|$", run([program, "--version"], folder, environment).stdout)[0]
        with (
            served(OURS, model, 2, context, threads(), "--cache-disk", "0") as server,
            between(server.url, args.record and args.record / client) as notary,
        ):
            connect = [sys.executable, "-m", "bitwright", "connect", client, "--url", notary.url]
            set_up = [*connect, "--write"]
            if trial.called:
                set_up = [program, *shlex.split(last(run(connect, folder, environment)))[1:]]
            for command in ([*connect, "--check"], set_up):
                if (done := run(command, folder, environment)).returncode:
                    return Outcome(version, f"{command[-1]}: {last(done)}", 0, 0, ())
            tries, problem = 0, "not tried"
            while problem and tries < args.tries:
                tries += 1
                notary.seen.clear()
                started = time.monotonic()
                done = run([program, *trial.arguments], folder, environment)
                seconds, problem = time.monotonic() - started, judged(folder / "hello.py", done)
            return Outcome(version, problem, tries, seconds, notary.seen)


def called(name: str, arguments: dict[str, str]) -> str:
    """A call as Hermes models write it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command, done or given up."""
    try:
        return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, f"no end within {PATIENCE} seconds")


def judged(path: Path, done: subprocess.CompletedProcess[str]) -> str:
    """What is wrong with the file that a client was asked for; nothing if it does what it should."""
    if not path.exists():
        return f"no file: {last(done)}"
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    return "" if found.stdout == "hello\n" else f"the file prints {found.stdout[:40]!r}"


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing that a program said."""
    return next((line.strip()[:160] for line in reversed(done.stdout.splitlines()) if line.strip()), "it said nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    programs = {"action": "append", "default": [], "metavar": "NAME=PROGRAM"}
    parser.add_argument("--client", **programs, help=f"answered by MODEL: {', '.join(TRIALS)}")
    parser.add_argument("--replay", **programs, help="answered by a model that says what the client shall be told")
    parser.add_argument("--ctx", type=int, default=65536, help="tokens of context, as far as the model has them")
    parser.add_argument("--tries", type=int, default=1, help="until the file is what it should be")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="keep what each client asked")
    args = parser.parse_args()
    rows = []
    for replay, given in ((False, args.client), (True, args.replay)):
        for client, _, program in (own.partition("=") for own in given):
            with output.progress(f"trying {client}"):
                found = tried(client, str(Path(program).absolute()), args.model, replay, args)
            rows.append(found.row(client, "replay" if replay else args.model.stem))
    output.print_table(HEADERS, rows)


if __name__ == "__main__":
    main()
