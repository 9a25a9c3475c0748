"""Run an untrusted program: `python -I jail.py FOLDER SECONDS BYTES WORD < program`.

Started as a script, so it imports nothing of bitwright. Before the program starts, the process gives up what it does
not need: processor time, memory, the size and number of files, other processes; the network, by a new network namespace
without any device; and writing anywhere but in FOLDER, by Landlock. The first line of stdout says in JSON which of
these hold. Namespaces and Landlock exist only on Linux: elsewhere `network` and `files` are false, macOS keeps all
limits except that on memory, and Windows keeps none. The caller decides whether that is enough. Reading files is not
blocked, because nothing read can leave. WORD is printed after the program's last line, so a program that exits before
its tests never prints it.
"""

import ctypes
import json
import os
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET, PR_SET_NO_NEW_PRIVS = 0x10000000, 0x40000000, 38
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # system calls, the same on x86-64 and AArch64
LANDLOCK_WRITES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))  # WRITE_FILE, REMOVE_*, MAKE_* (ABI 1)
LARGEST_FILE, FILES, PROCESSES = 1 << 20, 32, 8


def limit(seconds: int, memory: int) -> bool:
    """Limit what the process may use; False if a limit cannot be set."""
    if sys.platform == "win32":
        return False
    import resource

    limits = [
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ]
    if sys.platform == "linux":
        limits.append((resource.RLIMIT_AS, memory))
    for what, value in limits:
        resource.setrlimit(what, (value, value))
    return sys.platform == "linux"


def without_network() -> bool:
    """Replace the machine's network by an empty one."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWUSER | CLONE_NEWNET, CLONE_NEWNET))


def writing_only_in(folder: str) -> bool:
    """https://docs.kernel.org/userspace-api/landlock.html"""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    handled = struct.pack("Q", LANDLOCK_WRITES)
    rules = libc.syscall(LANDLOCK_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return False
    place = os.open(folder, os.O_PATH)
    rule = struct.pack("=Qi", LANDLOCK_WRITES, place)
    if libc.syscall(LANDLOCK_ADD, rules, 1, rule, 0) != 0 or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.syscall(LANDLOCK_RESTRICT, rules, 0) == 0)


def main() -> None:
    """Drop all possible rights, report which were dropped, and run the program from stdin."""
    folder, seconds, memory, word = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    program, sys.argv = sys.stdin.read(), ["program"]
    os.chdir(folder)
    held = {"network": without_network(), "files": writing_only_in(folder), "limits": limit(seconds, memory)}
    print(json.dumps(held), flush=True)
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    print(f"\n{word}", flush=True)


if __name__ == "__main__":
    main()
