"""Runs programs that a model wrote in a process with limited rights (`jail`)."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bitwright import system
from bitwright.errors import BitwrightError

JAIL = Path(__file__).with_name("jail.py")
SECONDS, BYTES = 5, 1 << 30
GUARDS = {"network": "reaching the network", "files": "writing outside its own folder"}


@dataclass(frozen=True)
class Outcome:
    """Whether a program ran to its end without an error, the last line of its errors, and the guards that held."""

    passed: bool
    error: str
    guards: frozenset[str]


def run(program: str, seconds: int = SECONDS, memory: int = BYTES, unguarded: bool = False) -> Outcome:
    """Run Python in an empty folder, for at most `seconds` and in `memory` bytes.

    Raises BitwrightError, and runs nothing, if this system cannot keep it from the network or from writing outside
    that folder, unless `unguarded`.
    """
    if not unguarded:
        check()
    return _run(program, seconds, memory)


@cache
def check() -> None:
    """BitwrightError if this system cannot guard a program."""
    missing = [what for guard, what in GUARDS.items() if guard not in _run("", SECONDS, BYTES).guards]
    if missing:
        raise BitwrightError(
            f"this system cannot keep a program from {' or '.join(missing)} (this needs user namespaces and Landlock), "
            "so code that a model wrote is not run; allow it with --unsafe-code, in a container that you can lose"
        )


def _run(program: str, seconds: int, memory: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="bitwright-") as folder:
        word = secrets.token_hex(8)
        command = [sys.executable, "-I", str(JAIL), folder, str(seconds), str(memory), word]
        # A new session, so that everything it starts ends with it; an environment without secrets.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            env=system.empty_environment(),
        )
        try:
            out, error = process.communicate(program, timeout=2 * seconds + 5)
        except subprocess.TimeoutExpired:
            out, error = "", f"took longer than {seconds} s"
        finally:
            system.kill_group(process)
            process.communicate()
    first = out.split("\n", 1)[0]
    held = json.loads(first) if first.startswith("{") else {}
    last = (error.strip().splitlines() or [""])[-1]
    if system.ran_out_of_time(process.returncode):
        last = f"took longer than {seconds} s"
    passed = process.returncode == 0 and out.rstrip().endswith(word)
    guards = frozenset(name for name, holds in held.items() if holds)
    return Outcome(passed, last if passed or last else "exited before its last line", guards)
