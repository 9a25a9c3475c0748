"""Runs programs that a model wrote, and their tests, in two processes with few rights (`jail`, `apart`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bitwright import system
from bitwright.errors import BitwrightError
from bitwright.io.atomic import scratch

HERE = Path(__file__).parent
JAIL = HERE / "jail.py"
SECONDS, BYTES = 5, 1 << 30
SIDES = ("program", "tests")
MOST_WRITTEN, LOOK = 16 << 20, 0.05  # bytes in files of a program; seconds between looks at them
GRACE = 5  # seconds for Python to start on a busy machine


@dataclass(frozen=True)
class Outcome:
    """Whether a program ran and its tests passed; if not, the last line of the error."""

    passed: bool
    error: str


def run(
    program: str,
    tests: str = "",
    setup: str = "",
    names: Sequence[str] = (),
    seconds: int = SECONDS,
    memory: int = BYTES,
    unguarded: bool = False,
) -> Outcome:
    """Run Python in an empty folder, then its tests in another process, each for at most `seconds` and in `memory`
    bytes. `setup` is code that the tests need too; `names` are the program's even if they are Python's.

    Raises BitwrightError, and runs nothing, if this system does not keep a promise of the jail, unless `unguarded`.
    """
    if not unguarded:
        check()
    return _run({"program": program, "tests": tests, "setup": setup, "names": list(names)}, seconds, memory)


@cache
def check() -> None:
    """Try to break out of the jail. BitwrightError if any attempt succeeds."""
    attempts = (HERE / "break_in.py").read_text(encoding="utf-8")
    with scratch(Path(tempfile.gettempdir())) as outside:
        (outside / "file").write_text("kept", encoding="utf-8")
        tests = f"found = broken({str(outside)!r}, {BYTES})\nassert not found, ' or '.join(found)"
        outcome = _run({"program": attempts, "tests": tests, "setup": "", "names": []}, SECONDS, BYTES)
    if not outcome.passed:
        found = outcome.error.removeprefix("AssertionError").removeprefix(": ") or "anything"
        raise BitwrightError(
            f"this system does not keep a program from {found} (that takes Linux 5.13 on x86-64 or AArch64, with "
            "seccomp and Landlock), so code that a model wrote is not run; allow it with --unsafe-code, in a container "
            "that you can lose"
        )


def _run(job: dict[str, object], seconds: int, memory: int) -> Outcome:
    with scratch(Path(tempfile.gettempdir())) as place:
        for side in SIDES:
            (place / side).mkdir()
        (place / "tests" / "job").write_text(json.dumps(job), encoding="utf-8")
        program, tests = sides = _start(place, seconds, memory)
        try:
            why = _wait(tests, place, seconds)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(1 if not why and tests.returncode else 0)  # why it ended, if it ended first
            if system.ran_out_of_time(program.returncode) or system.ran_out_of_time(tests.returncode):
                why = why or f"took longer than {seconds} s"
            elif program.returncode is not None and program.returncode < 0:
                why = why or f"was ended by signal {-program.returncode}"
        finally:
            for process in sides:
                system.kill_group(process)
                process.wait()
        lines = (place / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    passed = not why and tests.returncode == 0
    return Outcome(passed, "" if passed else why or (lines or [f"ended with code {tests.returncode}"])[-1])


def _start(place: Path, seconds: int, memory: int) -> list[subprocess.Popen[bytes]]:
    """Both sides, joined by two pipes. Their output goes nowhere, except for the errors of the tests."""
    asking, answering = os.pipe(), os.pipe()
    ends = ((asking[0], answering[1], Path(os.devnull)), (answering[0], asking[1], place / "errors"))
    # No environment, so no secrets; one thread is all there is, and libraries that want more would fail.
    environment = system.empty_environment() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    sides = []
    try:
        for side, (reads, writes, complains) in zip(SIDES, ends, strict=True):
            arguments = (place / side, seconds, memory, HERE / "apart.py", side)
            with complains.open("wb") as errors:
                sides.append(
                    subprocess.Popen(
                        [sys.executable, "-I", JAIL, *map(str, arguments)],
                        stdin=reads,
                        stdout=writes,
                        stderr=errors,
                        env=environment,
                        start_new_session=True,  # so that what it starts, if it can, ends with it
                    )
                )
    finally:
        for end in (*asking, *answering):
            os.close(end)
    return sides


def _wait(tests: subprocess.Popen[bytes], place: Path, seconds: int) -> str:
    """Wait for the tests to end, or for a limit: then the reason."""
    most = 2 * seconds + GRACE
    end = time.monotonic() + most
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            tests.wait(LOOK)
            return ""
        if _written(place) > MOST_WRITTEN:
            return f"wrote more than {MOST_WRITTEN >> 20} MiB"
    return f"took longer than {most} s in all"


def _written(place: Path) -> int:
    """Bytes in files of both sides; an empty file counts as a block."""
    found = 0
    for side in SIDES:
        for entry in os.scandir(place / side):
            with contextlib.suppress(FileNotFoundError):
                found += max(4096, entry.stat(follow_symlinks=False).st_size)
    return found
