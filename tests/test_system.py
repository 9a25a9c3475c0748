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
from bitwright.measure.tasks import sandbox

PACKAGE = Path(system.__file__).parent
LINUX_ONLY = r"sched_getaffinity|killpg|getrusage|madvise|O_DIRECTORY|^ *import (?:fcntl|resource)$"


def test_only_one_module_depends_on_the_system() -> None:
    allowed = {PACKAGE / "system.py", PACKAGE / "measure/tasks/jail.py"}
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
def test_elsewhere_the_jail_guarantees_nothing(platform: str) -> None:
    code = f"import runpy, sys; sys.platform = {platform!r}; runpy.run_path({str(sandbox.JAIL)!r}, run_name='__main__')"
    command = [sys.executable, "-I", "-c", code, ".", "5", str(1 << 30), "end"]
    out = subprocess.run(command, input="print(3)", capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ['{"network": false, "files": false, "limits": false}', "3"]
    assert out.endswith("end\n")
