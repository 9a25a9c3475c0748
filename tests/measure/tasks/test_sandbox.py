"""What a program written by a model can and cannot do, and that it cannot choose its own verdict (test_apart)."""

from __future__ import annotations

import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitwright.errors import BitwrightError
from bitwright.measure.tasks import sandbox, written
from bitwright.measure.tasks.sandbox import Outcome, run


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def jail_without(monkeypatch: pytest.MonkeyPatch, folder: Path, *guards: str) -> None:
    """Run programs in a jail that lacks some guards, as on a system that has none."""
    text = sandbox.JAIL.read_text(encoding="utf-8")
    for guard in guards:
        assert text.count(f"        {guard}\n") + text.count(f"    {guard}\n") >= 1
        text = text.replace(f"    {guard}\n", "    pass\n")
    (folder / "jail.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sandbox, "JAIL", folder / "jail.py")
    sandbox.check.cache_clear()


def attempt(program: str, seconds: int = 1) -> Outcome:
    return sandbox._run({"program": program, "tests": "", "setup": "", "names": []}, seconds, sandbox.BYTES)


def test_a_program_runs_to_its_end() -> None:
    assert run("import math\nassert math.comb(5, 2) == 10", unguarded=True).passed
    assert run("open('own', 'w').write('x')\nassert open('own').read() == 'x'", unguarded=True).passed


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "program",
    [
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\nasyncio.run(f())",
        "import numpy\nassert (numpy.eye(9) @ numpy.ones(9)).sum() == 9",
        "import tempfile\nwith tempfile.TemporaryFile('w+', dir='.') as f:\n    f.write('x')",
        "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 9)\ntime.sleep(.001)\nsignal.raise_signal(0)",
        "import contextlib, os\nwith open(os.devnull, 'w') as f, contextlib.redirect_stdout(f):\n    print(1)",
        "import datetime, os, random\ndatetime.datetime.now(), os.cpu_count(), random.random(), os.stat('.')",
        "import sqlite3\nassert sqlite3.connect(':memory:').execute('select 1').fetchall() == [(1,)]",
        "for _ in range(50):\n    print('x' * 1000000)",  # goes nowhere, so it costs no memory
    ],
)
def test_ordinary_programs_run_in_the_jail(program: str) -> None:
    assert run(program) == Outcome(True, "")


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
        ("number = 0\nwhile True:\n    number += 1\n    open(str(number), 'wb').write(bytes(1 << 20))",
         "wrote more than 16 MiB"),
        ("import ctypes; ctypes.string_at(0)", "was ended by signal 11"),
    ],
)  # fmt: skip
def test_limits(program: str, error: str) -> None:
    outcome = run(program, seconds=1, unguarded=True)
    assert not outcome.passed and outcome.error.startswith(error)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits")
def test_limits_that_are_lower_already_stay(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os\nfor _ in range(25): os.dup(0)")
    jail = [sys.executable, "-I", str(sandbox.JAIL), str(tmp_path), "5", str(1 << 30), str(script)]
    lowered = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *jail]
    assert subprocess.run(jail, check=False).returncode == 0
    assert b"Too many open files" in subprocess.run(lowered, capture_output=True, check=False).stderr


def test_sleepers_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "GRACE", -1)
    assert attempt("import time\ntime.sleep(600)", 1) == Outcome(False, "took longer than 1 s in all")


@pytest.mark.usefixtures("guarded")
def test_nothing_outside_is_reached(listener: int, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("whole")
    before = kept.stat()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        lines = f"""
            socket.create_connection(('127.0.0.1', {listener}), 2)
            socket.socket(socket.AF_UNIX).connect({str(tmp_path / "agent")!r})
            open(kept)
            open(kept, 'w')
            os.truncate(kept, 0)
            os.chmod(kept, 0o777)
            os.utime(kept)
            os.setxattr(kept, 'user.x', b'1')
            os.remove(kept)
            os.open(kept, os.O_TRUNC)
            os.mkdir(kept + '2')
            os.kill(os.getppid(), 0)
            os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
            os.fork()
            SharedMemory(create=True, size=9)
        """.split("\n")[1:-1]
        outcome = run(
            "import os, socket\nfrom multiprocessing.shared_memory import SharedMemory\n"
            f"kept, done = {str(kept)!r}, []\nfor line in {[line.strip() for line in lines]!r}:\n"
            "    try: exec(line)\n    except PermissionError: continue\n    done.append(line)\nassert not done, done"
        )
    assert outcome == Outcome(True, "")
    after = kept.stat()
    assert kept.read_text() == "whole" and sorted(path.name for path in tmp_path.iterdir()) == ["agent", "kept"]
    assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_mode, before.st_mtime_ns, before.st_ctime_ns)  # fmt: skip


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    ("guard", "found"),
    [
        ("shut_calls(libc)", "leaving memory behind or raising its limits or reaching the network or a socket"),
        ("shut_paths(libc, folder)", "leaving memory behind or reading files outside its folder or touching"),
        ("limit(seconds, memory)", "using more memory, files or space than allowed"),
    ],
)
def test_a_guard_that_does_not_hold_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, guard: str, found: str
) -> None:
    jail_without(monkeypatch, tmp_path, guard)
    shared = set(Path("/dev/shm").iterdir())
    with pytest.raises(BitwrightError, match=f"does not keep a program from {found}.*--unsafe-code"):
        run("1")
    assert run("1", unguarded=True).passed
    assert not [path for path in set(Path("/dev/shm").iterdir()) - shared if path.name.startswith("psm")]
    sandbox.check.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a jail")
def test_a_child_that_holds_the_output_does_not_hold_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail_without(monkeypatch, tmp_path, "shut_calls(libc)", "shut_paths(libc, folder)")  # with them, there is no child
    child = tmp_path / "child"
    attempt(
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    open({str(child)!r}, 'w').write(str(os.getpid()))\n"
        f"    time.sleep(60)\nwhile not os.path.exists({str(child)!r}) or not open({str(child)!r}).read(): pass"
    )
    os.kill(int(child.read_text()), signal.SIGKILL)  # it was still there
    sandbox.check.cache_clear()


@pytest.mark.usefixtures("guarded")
def test_no_other_system_call_is_let_through() -> None:
    jail = runpy.run_path(str(sandbox.JAIL), run_name="jail")
    column = jail["MACHINES"][platform.machine()][1]
    left = [335, 336]  # uretprobe and uprobe of x86-64 pass any filter, by the kernel's design, and do nothing here
    left += [int(n) for words in jail["CALLS"].split(",") if (n := words.split()[column]) != "-"]
    program = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for number in {{*range(1024), *range(1 << 30, (1 << 30) + 1024)}} - {{*{left}}}:  # of x86-64's x32 too
    assert libc.syscall(number, -1, -1, -1, -1, -1, -1) == -1 and ctypes.get_errno() in (1, 38), number
"""
    assert run(program) == Outcome(True, "")


@pytest.mark.usefixtures("guarded")
def test_files_that_broke_out(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    fork = "import os,time\nif os.fork()==0:\n    os.setsid(); time.sleep(30); os._exit(0)\n\n'''"
    for prompt in (f"import os; os.truncate({str(victim)!r},0)\n'''", fork):
        item = {"prompt": prompt, "entry_point": "check", "test": "'''\ndef check(f): pass\n"}
        for text in ("", "'''\n"):
            assert not written.check(item, "humaneval", text)[0]
    assert victim.read_text() == "keep"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a jail")
def test_a_program_ends_with_its_caller(tmp_path: Path) -> None:
    script = tmp_path / "sleeper.py"
    script.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    command = [sys.executable, "-I", str(sandbox.JAIL), str(tmp_path), "5", str(1 << 30), str(script)]
    caller = f"import os, subprocess\np = subprocess.Popen({command!r}, stdout=subprocess.PIPE)\n" + (
        "print(p.stdout.readline().decode(), flush=True)\nos._exit(0)"
    )
    number = int(subprocess.run([sys.executable, "-c", caller], capture_output=True, text=True, check=True).stdout)
    for _ in range(1000):
        state = Path(f"/proc/{number}/stat")
        if not state.exists() or state.read_text().rsplit(")")[1].split()[0] == "Z":
            return
        time.sleep(0.02)
    os.kill(number, 9)
    pytest.fail("it outlived its caller")
