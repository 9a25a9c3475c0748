"""What differs between operating systems, in one place: Linux, macOS and Windows.

If a system lacks something, the function's result says so. The system calls of the compiled module are in
native/platform.cpp; `hardware.detect` describes a machine.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import subprocess

MOST_OPEN_FILES = 10240  # the most that macOS allows


def release_pages(buffer: mmap.mmap) -> bool:
    """Drop a mapped file's pages from this process's memory; later reads fetch them again. False: not possible here."""
    if sys.platform == "win32":
        return False
    buffer.madvise(mmap.MADV_DONTNEED)
    return True


def has_room(count: int) -> bool:
    """Whether the system would give this process `count` more bytes of address space now."""
    try:
        mmap.mmap(-1, max(count, 1)).close()
    except (OSError, MemoryError):
        return False
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


def allow_open_files() -> None:
    """Let this process keep as many files open as it may: mapped files count, and macOS begins with 256."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def rename(file: BinaryIO, path: Path, target: Path) -> None:
    """Give an open file another name, which replaces what has it. Windows must close the file first."""
    if sys.platform == "win32":
        file.close()
    path.replace(target)


def copy_access(source: os.stat_result, target: Path) -> None:
    """Give `target` the permissions that `source` shows and, where this user may, its owner and group."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.chown(target, source.st_uid, source.st_gid)
    target.chmod(source.st_mode & 0o777)


def lock(descriptor: int, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed, by the end of the process at the latest. False: another process
    holds the lock, or there is none here (on Windows and some network file systems)."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder while the block runs; yields whether it is held. OSError if it cannot be
    opened; a symbolic link is not followed."""
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)


def allowed_cpus() -> set[int]:
    """The numbers of the CPUs that this process may run on."""
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def fast_cores() -> int:
    """The fast cores of a chip with two kinds, each of which may run several threads; 0 if it has one kind, or the
    system does not say. Linux says it in /sys: `kernels.cores` reads that."""
    if sys.platform == "win32":
        from bitwright import windows

        return windows.fast_cores()
    if sys.platform != "darwin":
        return 0
    import ctypes

    count, size = ctypes.c_int32(), ctypes.c_size_t(4)
    asked = b"hw.perflevel0.physicalcpu", ctypes.byref(count), ctypes.byref(size), None, 0
    return count.value if ctypes.CDLL(None).sysctlbyname(*asked) == 0 else 0


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


def kill_group(process: subprocess.Popen[Any]) -> None:
    """End a process that was started with `start_new_session`, and all it started; Windows ends only the process."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def ran_out_of_time(returncode: int | None) -> bool:
    """Whether a process was ended for using up its processor time, or killed."""
    return sys.platform != "win32" and returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def empty_environment() -> dict[str, str]:
    """The fewest environment variables that Python starts with: none, or on Windows the path of the system."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}
