"""Differences between operating systems: the behaviour on this one, and messages about what is unsupported."""

from __future__ import annotations

import mmap
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright import system
from bitwright.errors import BitwrightError
from bitwright.measure.tasks import sandbox

PACKAGE = Path(system.__file__).parent
LINUX_ONLY = r"sched_getaffinity|killpg|getrusage|madvise|O_DIRECTORY|^ *import (?:fcntl|resource)$"


def test_only_one_module_depends_on_the_system() -> None:
    allowed = {PACKAGE / name for name in ("system.py", "measure/tasks/jail.py", "measure/tasks/break_in.py")}
    for path in set(PACKAGE.rglob("*.py")) - allowed:
        assert not re.findall(LINUX_ONLY, path.read_text("utf-8"), re.MULTILINE), path


def test_released_pages_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "pages"
    path.write_bytes(os.urandom(1 << 16))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        assert system.release_pages(buffer) == (sys.platform != "win32")
        assert buffer[:] == path.read_bytes()


def test_directories_are_synced(tmp_path: Path) -> None:
    assert system.sync_directory(tmp_path) == (sys.platform != "win32")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(("hard", "allowed"), [(-1, 10240), (4096, 4096), (20000, 10240)])
def test_the_limit_of_open_files_is_raised(hard: int, allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits: list[tuple[int, int]] = []
    hard = resource.RLIM_INFINITY if hard < 0 else hard
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    for soft in (256, 15000 if hard == 20000 else allowed):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, hard))
        system.allow_open_files()
    assert limits == [(allowed, hard)]


def test_peak_memory_grows_with_allocations() -> None:
    held = np.ones(8 << 20)
    assert system.peak_memory_bytes() > held.nbytes
    assert system.peak_memory_bytes() < 1 << 44


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_ending_a_group_ends_its_children() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as p:
        assert p.stdout is not None and p.stdout.readline() == "1\n"
        system.kill_group(p)
        assert p.stdout.read() == ""  # ends only after the grandchild
    assert p.returncode == -signal.SIGKILL and system.ran_out_of_time(p.returncode)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_the_jail_runs_and_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    jail = sandbox.JAIL.read_text(encoding="utf-8").replace("sys.platform", repr(platform))
    (tmp_path / "jail.py").write_text(jail, encoding="utf-8")
    monkeypatch.setattr(sandbox, "JAIL", tmp_path / "jail.py")
    sandbox.check.cache_clear()
    assert sandbox.run("print(3)", unguarded=True).passed
    with pytest.raises(BitwrightError, match="does not keep a program from"):
        sandbox.run("print(3)")
    sandbox.check.cache_clear()
