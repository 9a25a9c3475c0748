"""What a program written by a model can and cannot do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitwright.errors import BitwrightError
from bitwright.measure.tasks import sandbox
from bitwright.measure.tasks.sandbox import run


@pytest.fixture
def guarded() -> None:
    try:
        sandbox.check()
    except BitwrightError as error:
        pytest.skip(str(error))


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_program_runs_to_its_end() -> None:
    assert run("import math\nassert math.comb(5, 2) == 10", unguarded=True).passed
    assert run("open('own', 'w').write('x')\nassert open('own').read() == 'x'", unguarded=True).passed


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("assert 1 == 2", "AssertionError"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(0)", "exited before its last line"),
        ("import os; os._exit(0)", "exited before its last line"),
        ("x = bytearray(2 << 30)", "MemoryError"),
        ("open('large', 'wb').write(bytes(2 << 20))", "OSError: [Errno 27] File too large"),
        ("files = [open('x', 'w') for _ in range(99)]", "OSError: [Errno 24] Too many open files: 'x'"),
        ("while True: pass", "took longer than 1 s"),
    ],
)
def test_limits(program: str, error: str) -> None:
    outcome = run(program, seconds=1, unguarded=True)
    assert not outcome.passed and outcome.error == error


def test_sleepers_and_their_children_are_killed() -> None:
    outcome = sandbox._run("import os, time\nos.fork()\ntime.sleep(600)", 0, sandbox.BYTES)
    assert not outcome.passed and outcome.error == "took longer than 0 s"


@pytest.mark.usefixtures("guarded")
def test_the_network_is_out_of_reach(listener: int) -> None:
    connect = f"import socket\nsocket.create_connection(('127.0.0.1', {listener}), 2)"
    assert "Network is unreachable" in run(connect).error
    with socket.create_connection(("127.0.0.1", listener), 2):  # it is there
        pass


@pytest.mark.usefixtures("guarded")
def test_files_outside_cannot_be_written_or_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("whole")
    there, new = str(kept), str(tmp_path / "new")
    for what in (f"open({there!r}, 'w')", f"import os; os.remove({there!r})", f"open({new!r}, 'w')",
                 f"import os; os.mkdir({new!r})"):  # fmt: skip
        outcome = run(what)
        assert not outcome.passed and outcome.error.startswith("PermissionError"), what
    assert [path.name for path in tmp_path.iterdir()] == ["kept"] and kept.read_text() == "whole"


def test_without_guards_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def unguarded(*_: object) -> sandbox.Outcome:
        return sandbox.Outcome(True, "", frozenset({"limits"}))

    monkeypatch.setattr(sandbox, "_run", unguarded)
    sandbox.check.cache_clear()
    with pytest.raises(BitwrightError, match="cannot keep a program from reaching the network or writing outside"):
        run("1")
    assert run("1", unguarded=True).passed
    sandbox.check.cache_clear()
