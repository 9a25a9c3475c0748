"""Run a script that is not trusted: `python -I jail.py FOLDER SECONDS BYTES SCRIPT ARGUMENTS...`, in FOLDER.

Started as a script, so it imports nothing of bitwright. Before SCRIPT starts, the process gives up everything that a
computation does not need. Nothing here asks for privileges, so it works for root, other users, and in containers:

    seccomp    only the system calls listed in CALLS are left: no other process or thread, no program, no socket to
               anywhere, no signal to others, no memory that outlives it, no change of modes, times, owners
    Landlock   it reads Python and the system's libraries, and writes files in FOLDER; other paths are shut
    limits     of processor time, memory, open files, size of a file

Linux on x86-64 and AArch64 has all of them; elsewhere some or all are missing. Nothing is reported: `break_in.py`
tries what must not be possible, and the caller decides by what it finds.
"""

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path

# System calls that stay, with their numbers on x86-64 and AArch64: compute, read, write in open files, look at oneself.
CALLS = """
read 0 63, write 1 64, open 2 -, close 3 57, stat 4 -, fstat 5 80, lstat 6 -, poll 7 -, lseek 8 62, mmap 9 222,
mprotect 10 226, munmap 11 215, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139,
ioctl 16 29, pread64 17 67, pwrite64 18 68, readv 19 65, writev 20 66, access 21 -, pipe 22 -, select 23 -,
sched_yield 24 124, mremap 25 216, msync 26 227, madvise 28 233, dup 32 23, dup2 33 -, pause 34 -, nanosleep 35 101,
getitimer 36 102, alarm 37 -, setitimer 38 103, getpid 39 172, sendfile 40 71, sendto 44 206, recvfrom 45 207,
sendmsg 46 211, recvmsg 47 212, shutdown 48 210, getsockname 51 204, getpeername 52 205, socketpair 53 199,
getsockopt 55 209, exit 60 93, uname 63 160, fcntl 72 25, fsync 74 82, fdatasync 75 83, ftruncate 77 46,
getdents 78 -, getcwd 79 17, chdir 80 49, fchdir 81 50, rename 82 -, unlink 87 -, readlink 89 -, gettimeofday 96 169,
getrlimit 97 163, getrusage 98 165, sysinfo 99 179, times 100 153, getuid 102 174, getgid 104 176, geteuid 107 175,
getegid 108 177, getppid 110 173, getpgrp 111 -, getpgid 121 155, getsid 124 156, getgroups 115 158,
getresuid 118 148, getresgid 120 150, rt_sigpending 127 136, rt_sigtimedwait 128 137, rt_sigsuspend 130 133,
sigaltstack 131 132, statfs 137 43, fstatfs 138 44, sched_getparam 143 121, sched_getscheduler 145 120,
arch_prctl 158 -, gettid 186 178, time 201 -, futex 202 98, sched_getaffinity 204 123, epoll_create 213 -,
getdents64 217 61, set_tid_address 218 96, restart_syscall 219 128, fadvise64 221 223, clock_gettime 228 113,
clock_getres 229 114, clock_nanosleep 230 115, exit_group 231 94, epoll_wait 232 -, epoll_ctl 233 21, tgkill 234 131,
openat 257 56, newfstatat 262 79, unlinkat 263 35, renameat 264 38, readlinkat 267 78, faccessat 269 48,
pselect6 270 72, ppoll 271 73, set_robust_list 273 99, epoll_pwait 281 22, fallocate 285 47, epoll_create1 291 20,
dup3 292 24, pipe2 293 59, preadv 295 69, pwritev 296 70, getcpu 309 168, renameat2 316 276, getrandom 318 278,
statx 332 291, rseq 334 293, faccessat2 439 439
"""
MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}  # AUDIT_ARCH_*, column in CALLS
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # instructions of classic BPF
ALLOW, KILL, REFUSE, ABSENT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # SECCOMP_RET_*, with EPERM or ENOSYS
NEW_CALLS = 424  # from here on calls came after Linux 5.0; C libraries do without them if they seem absent
WRITE, READ, LIST, REMOVE, MAKE, TRUNCATE = (1 << bit for bit in (1, 2, 3, 5, 8, 14))  # LANDLOCK_ACCESS_FS_*
HANDLED = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}  # all kinds of access that each version of Landlock knows
READABLE = ("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")
LARGEST_FILE, FILES = 1 << 20, 32


def conditions() -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """Calls that stay only if an argument, masked, has one of these values: {name: (argument, mask, values)}."""
    opened = 0o1003, (0, 1, 2, 0o1001, 0o1002)  # no O_TRUNC without writing: Landlock did not see it before 6.2
    return {
        "open": (1, *opened),
        "openat": (2, *opened),
        "ioctl": (1, 0xFFFFFFFF, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # is it a terminal; FIO*
        "fcntl": (1, 0xFFFFFFFF, (0, 1, 2, 3, 4, 1030)),  # copies and flags; no locks, no owner who gets signals
        "socketpair": (1, 0xF, (1,)),  # streams, which cannot be sent elsewhere
        "tgkill": (0, 0xFFFFFFFF, (os.getpid(),)),
    }


def call_filter(machine: str) -> bytes:
    """The filter as a program of classic BPF: https://docs.kernel.org/userspace-api/seccomp_filter.html"""
    architecture, column = MACHINES[machine]
    limited, program = conditions(), []

    def add(code: int, value: int, yes: int = 0, no: int = 0) -> None:
        program.append(struct.pack("HBBI", code, yes, no, value))

    add(LOAD, 4)
    add(EQUAL, architecture, 1)
    add(RETURN, KILL)
    add(LOAD, 0)
    for words in (entry.split() for entry in CALLS.split(",")):
        if words[column] == "-":
            continue
        argument, mask, values = limited.get(words[0], (0, 0, ()))
        add(EQUAL, int(words[column]), 0, 3 + 2 * len(values) if values else 1)
        if values:
            add(LOAD, 16 + 8 * argument)
            add(AND, mask)
            for value in values:
                add(EQUAL, value, 0, 1)
                add(RETURN, ALLOW)
        add(RETURN, REFUSE if values else ALLOW)
    add(AT_LEAST, NEW_CALLS, 0, 1)
    add(RETURN, ABSENT)
    add(RETURN, REFUSE)
    return b"".join(program)


def shut_calls(libc: ctypes.CDLL) -> None:
    """Leave only the system calls of the filter."""
    program = call_filter(platform.machine())
    held = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc.prctl(22, ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0))  # PR_SET_SECCOMP, filter


def shut_paths(libc: ctypes.CDLL, folder: str) -> None:
    """Leave only FOLDER and what Python needs: https://docs.kernel.org/userspace-api/landlock.html"""
    if sys.platform != "linux":
        return
    create, add, restrict = 444, 445, 446  # the same numbers on every machine
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    handled = max(bit for known, bit in HANDLED.items() if known <= version) - 1
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(create, struct.pack("QQQ", handled, 3, 3), ctypes.c_size_t(size), 0)  # TCP, sockets, signals
    python = [f"{prefix}/{name}" for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "lib64")]
    rights = dict.fromkeys((*READABLE, *python), READ | LIST)
    rights |= {"/dev/null": READ | WRITE, folder: READ | LIST | WRITE | REMOVE | MAKE | TRUNCATE}
    for path in filter(os.path.exists, rights):
        place = os.open(path, os.O_PATH)
        right = rights[path] & (handled if Path(path).is_dir() else READ | WRITE)
        libc.syscall(add, rules, 1, struct.pack("=Qi", right, place), 0)
        os.close(place)
    libc.syscall(restrict, rules, 0)
    os.close(rules)


def limit(seconds: int, memory: int) -> None:
    """Limit what the process may use; macOS cannot limit memory, Windows nothing."""
    if sys.platform == "win32":
        return
    import resource

    limits = [
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ]
    if sys.platform == "linux":
        limits.append((resource.RLIMIT_AS, memory))
    for what, value in limits:
        most = resource.getrlimit(what)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(what, (value, value))


def main() -> None:
    """Give up all that can be given up, then run the script."""
    folder, seconds, memory, script = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    code = compile(Path(script).read_text(encoding="utf-8"), script, "exec")
    sys.argv = sys.argv[4:]
    os.chdir(folder)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, ctypes.c_ulong(9))  # PR_SET_PDEATHSIG: end with the caller
        libc.prctl(38, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))  # no new privileges
        shut_paths(libc, folder)
    limit(seconds, memory)
    if sys.platform == "linux" and platform.machine() in MACHINES:
        shut_calls(libc)
    exec(code, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
