"""docs/serve.md: its commands run, one after another, and the addresses in it are the server's."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import httpx2
from cli.support import finish, start

from bitwright.server import app, listening

TEXT = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^bitwright ([a-z].*)$", TEXT, re.MULTILINE)
ADDRESS = re.compile(r"`(GET|POST|DELETE) (/[^`]*)`")
MODEL = re.compile(r"Qwen/\S+")
SMALLER = {"32k": "2k", "0.0.0.0": "127.0.0.1"}  # what a small model has, and where a test listens


def test_the_addresses_are_the_servers() -> None:
    named = set(ADDRESS.findall(TEXT))
    assert len(named) > 10 and named <= app.ROUTES.keys()


def test_the_commands_run_in_their_order(smollm2: Path, tmp_path: Path) -> None:
    """Those of `connect` ask the server that was started before them."""
    assert [command.split()[0] for command in COMMANDS].count("serve") >= 2
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "CODEX_HOME": "", "CONTINUE_GLOBAL_DIR": "",
            "BITWRIGHT_CACHE": str(tmp_path / "cache"), "BITWRIGHT_API_KEY": ""}  # fmt: skip
    server, port = None, 0
    try:
        for command in COMMANDS:
            verb, *rest = (SMALLER.get(word, word) for word in shlex.split(MODEL.sub(str(smollm2), command)))
            if verb == "serve":
                if server is not None:
                    end(server)
                with listening.listen("127.0.0.1", 0) as free:
                    port = free.getsockname()[1]
                server = start(verb, *rest, "--port", port, env=home)
                healthy(server, port)
            else:
                found = finish(start(verb, *rest, "--url", f"http://127.0.0.1:{port}", env=home))
                asked = [line for line in found.out.splitlines() if not line.startswith("what it needs")]
                lacking = asked != found.out.splitlines()  # this model calls no tools, and its context is small
                well = all(line.endswith(" ok") for line in asked) if lacking else found.code == 0
                assert asked and well, f"{command}: {found.err}{found.out}"
    finally:
        if server is not None:
            end(server)
    assert "qwen2.5-coder" in (tmp_path / ".continue/config.yaml").read_text()
    assert (tmp_path / ".aider.conf.yml").exists()


def healthy(server: subprocess.Popen[str], port: int) -> None:
    """Returns once the server has loaded its model."""
    while server.poll() is None:
        with contextlib.suppress(httpx2.ConnectError):
            if httpx2.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}:
                return
        time.sleep(0.1)
    raise AssertionError(server.communicate()[1])


def end(server: subprocess.Popen[str]) -> None:
    """Interrupts a server, as Ctrl-C does."""
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=120)
    assert server.returncode in (0, 130), said
