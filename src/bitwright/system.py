"""What differs between operating systems, in one place: Linux, macOS and Windows.

If a system lacks something, the function's result says so. The system calls of the compiled module are in
native/platform.cpp; `hardware.detect` describes a machine.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path


def release_pages(buffer: mmap.mmap) -> bool:
    """Drop a mapped file's pages from this process's memory; later reads fetch them again. False: not possible here."""
    if sys.platform == "win32":
        return False
    buffer.madvise(mmap.MADV_DONTNEED)
    return True


def sync_directory(directory: Path) -> bool:
    """Make renames inside `directory` survive a power failure. False: Windows leaves that to its file system."""
    if sys.platform == "win32":
        return False
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def peak_memory_bytes() -> int:
    """The most memory this process has held in RAM so far, in bytes."""
    if sys.platform == "win32":
        from bitwright import windows

        return windows.peak_memory_bytes()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux KiB


def windows_memory() -> tuple[int, int]:
    """Bytes of RAM in this machine, and those still available. Raises OSError on other systems."""
    if sys.platform != "win32":
        raise OSError("only Windows reports its memory this way")
    from bitwright import windows

    return windows.memory()


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a process that was started with `start_new_session`, and all it started; Windows ends only the process."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def ran_out_of_time(returncode: int) -> bool:
    """Whether a process was ended for using up its processor time, or killed."""
    return sys.platform != "win32" and returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def empty_environment() -> dict[str, str]:
    """The fewest environment variables that Python starts with: none, or on Windows the path of the system."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}
