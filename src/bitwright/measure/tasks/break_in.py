"""Tries to break out of the jail: `sandbox` runs this in it, as a program that a model might write.

Every attempt is harmless where it succeeds. It must end in a refusal: a file or a process that is not found is none.
"""

import ctypes
import fcntl
import mmap
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

assert sys.platform == "linux"
REFUSALS = (PermissionError, MemoryError, RuntimeError, AttributeError)  # AttributeError: the system has no such call
Attempt = Callable[[], object]


def raw(name: str, *arguments: object) -> None:
    """A function of the C library; PermissionError if it is refused or absent."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0 and ctypes.get_errno() in (1, 38):  # EPERM, ENOSYS
        raise PermissionError


def fork() -> None:
    """Start a process that ends at once."""
    if os.fork() == 0:
        os._exit(0)


def share() -> None:
    """Make memory that outlives its maker, and remove it; not by `SharedMemory`, which starts a process in between."""
    libc, name = ctypes.CDLL(None, use_errno=True), f"/bitwright-{os.getpid()}".encode()
    if libc.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600) < 0:
        raise PermissionError
    libc.shm_unlink(name)


def share_by_number() -> None:
    """The same by System V's call."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(0, 4096, 0o600)
    if number < 0:
        raise PermissionError
    libc.shmctl(number, 0, None)


def connect(family: str, address: tuple[str, int] | str, kind: int = socket.SOCK_STREAM) -> None:
    """Try to reach an address; that nobody answers there is no refusal."""
    with socket.socket(getattr(socket, family), kind) as end:
        end.connect(address)


def exceed(use: Attempt) -> None:
    """Use more than is allowed; PermissionError if only part of it is given."""
    try:
        use()
    except OSError as error:
        raise PermissionError from error


def attempts(outside: str, memory: int) -> dict[str, list[Attempt]]:
    """What a jailed program must not do, with the ways to do it; `outside` is a folder that holds `file`."""
    file, new, parent = f"{outside}/file", f"{outside}/new", os.getppid()
    return {
        "writing or changing files outside its folder": [
            partial(open, file, "r+"),
            partial(open, new, "w"),
            partial(os.open, file, os.O_RDONLY | os.O_TRUNC),
            partial(os.truncate, file, 0),
            partial(os.chmod, file, 0o777),
            partial(os.utime, file, (1, 1)),
            lambda: os.setxattr(file, "user.tried", b"1"),
            partial(os.rename, file, new),
            partial(os.link, file, new),
            partial(os.symlink, file, new),
            partial(os.mkdir, new),
            partial(os.mkfifo, new),
            partial(os.remove, file),
        ],
        "reading files outside its folder": [partial(open, file), partial(os.listdir, outside)],
        "reaching the network or a socket": [
            partial(connect, "AF_INET", ("127.0.0.1", 9)),
            partial(connect, "AF_INET", ("127.0.0.1", 9), socket.SOCK_DGRAM),
            partial(connect, "AF_UNIX", f"{outside}/no-socket"),
            partial(raw, "socket", 40, 1, 0),  # to the host of a virtual machine
            partial(raw, "socketpair", 1, 2, 0, ctypes.create_string_buffer(8)),  # can be sent to any address
        ],
        "starting processes or threads": [
            fork,
            threading.Thread(target=int).start,
            partial(raw, "execve", b"/does-not-exist", None, None),
        ],
        "touching other processes": [
            partial(os.kill, parent, 0),
            lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)),
            partial(fcntl.fcntl, 0, fcntl.F_SETOWN, parent),
            partial(fcntl.flock, 0, fcntl.LOCK_SH),
            partial(open, f"/proc/{parent}/environ", "rb"),
            partial(open, f"/proc/{parent}/mem", "r+b"),
            partial(raw, "ptrace", 2, parent, None, None),
        ],
        "leaving memory behind": [
            share,
            share_by_number,
            lambda: os.memfd_create("tried"),
            partial(raw, "mq_open", b"/does-not-exist", 0),
            partial(raw, "msgget", 1, 0),
            partial(raw, "semget", 1, 0, 0),
            partial(raw, "syscall", 219 if platform.machine() == "aarch64" else 250, 0, -3, 0),  # keyctl
        ],
        "raising its limits": [partial(raw, "prlimit", 0, 4, ctypes.create_string_buffer(16), None)],
        "using more memory, files or space than allowed": [
            partial(exceed, lambda: mmap.mmap(-1, 2 * memory).close()),
            partial(exceed, lambda: Path("large").write_bytes(bytes(2 << 20))),
            partial(exceed, lambda: [held.fileno() for held in [Path("large").open("ab") for _ in range(100)]]),
        ],
    }


def broken(outside: str, memory: int) -> list[str]:
    """The promises that are not kept here, in the words of `attempts`."""
    found = []
    for promise, ways in attempts(outside, memory).items():
        for way in ways:
            try:
                way()
            except REFUSALS:
                continue
            except OSError:
                pass
            found.append(promise)
    return sorted(set(found))
