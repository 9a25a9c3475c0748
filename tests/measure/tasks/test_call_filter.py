"""The filter of system calls, run as the kernel runs it, for both machines that it is built for."""

from __future__ import annotations

import os
import runpy
import struct

import pytest

from bitwright.measure.tasks import sandbox

JAIL = runpy.run_path(str(sandbox.JAIL), run_name="jail")
ALLOW, KILL, REFUSE, ABSENT = (JAIL[name] for name in ("ALLOW", "KILL", "REFUSE", "ABSENT"))
# openat, ioctl, kill, tgkill, clone, execve, socket, socketpair, read
NUMBERS = {"x86_64": (257, 16, 62, 234, 56, 59, 41, 53, 0), "aarch64": (56, 29, 129, 131, 220, 221, 198, 199, 63)}


def decide(program: bytes, data: bytes) -> int:
    """What a filter says of a call: of the kernel's instructions, those that it uses."""
    steps, at, value = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x06:  # return
            return k
        if code == 0x20:  # load
            (value,) = struct.unpack_from("I", data, k)
        elif code == 0x54:  # and
            value &= k
        else:
            holds = {0x15: value == k, 0x35: value >= k}[code]
            at += yes if holds else no


@pytest.mark.parametrize("machine", NUMBERS)
def test_decisions(machine: str) -> None:
    program, architecture = JAIL["call_filter"](machine), JAIL["MACHINES"][machine][0]
    assert len(program) // 8 < 4096  # the most that the kernel takes

    def of(number: int, *arguments: int, other: int = 0) -> int:
        words = [*arguments, *[0] * (6 - len(arguments))]
        return decide(program, struct.pack("IIQ6Q", number, architecture ^ other, 0, *words))

    openat, ioctl, kill, tgkill, clone, execve, socket, socketpair, read = NUMBERS[machine]
    assert of(read) == ALLOW and of(read, other=1) == KILL
    assert {of(number) for number in (kill, clone, execve, socket)} == {REFUSE}
    assert of(435) == of(425) == of(1 << 30) == ABSENT and of(439) == ALLOW  # clone3, io_uring, x32; faccessat2
    written = {flags: of(openat, 0, 0, flags) for flags in (0, 1, 2, 3, 0o1000, 0o1001, 0o1002, 0o1003, 0o2000101)}
    assert [flags for flags, found in written.items() if found != ALLOW] == [3, 0o1000, 0o1003]
    assert of(ioctl, 0, 0x5421) == ALLOW and of(ioctl, 0, 0x5412) == REFUSE  # FIONBIO; TIOCSTI types for the user
    assert of(tgkill, os.getpid()) == ALLOW and of(tgkill, os.getppid()) == REFUSE
    assert of(socketpair, 1, 1 | 0o2000000) == ALLOW and of(socketpair, 1, 2) == of(socketpair, 1, 5) == REFUSE
