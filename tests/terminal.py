"""A program in a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
from cli.support import start

PATIENCE = 120  # seconds: on a busy machine, a program may take long to begin


class Terminal:
    """Starts `bitwright ARGUMENTS` on a screen of its own, in a process group of its own as a shell would; `sent` is
    all that the program wrote."""

    def __init__(self, *arguments: object, rows: int = 24, columns: int = 80, **environment: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self.own, self.other = pty.openpty()
        self.resize(rows, columns)
        self._before = termios.tcgetattr(self.other)
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), self.other)
        self.process = start(*arguments, env={"TERM": "xterm", **environment}, process_group=0, **ends)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.own, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        os.write(self.own, keys.encode())

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def state(self) -> str:
        """The process's state, as Linux names it: T is stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def until(self, seen: str | Callable[[], Any]) -> None:
        """Reads until the screen shows `seen`, or `seen()` is true."""
        end = time.monotonic() + PATIENCE
        while not (seen in self.text if isinstance(seen, str) else seen()):
            assert time.monotonic() < end and self.process.poll() is None, f"{seen} is not on the screen:\n{self.text}"
            self._read(0.1)

    def end(self) -> int:
        """Waits for the program; its exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        return self.process.wait(0)

    @property
    def restored(self) -> bool:
        """Whether lines are edited and echoed as before, the screen from before is back, and the mouse is let go.
        After the end, all settings must be as before."""
        while self._read(0):
            pass
        modes = dict(re.findall(rb"\x1b\[\?(1049|1000|1003|1006|2004|25)([hl])", self.sent))
        flags = slice(3, 4) if self.process.poll() is None else slice(None)
        same = termios.tcgetattr(self.other)[flags] == self._before[flags]
        return same and modes.pop(b"25") == b"h" and set(modes.values()) == {b"l"}

    def _read(self, seconds: float) -> bool:
        """Reads what comes within `seconds`; False if nothing did."""
        if not select.select([self.own], [], [], seconds)[0]:
            return False
        new = os.read(self.own, 1 << 16)
        self.sent += new
        self._stream.feed(new)
        return True


@contextlib.contextmanager
def terminal(*arguments: object, **options: Any) -> Iterator[Terminal]:
    """A program that is killed in the end if it still runs."""
    found = Terminal(*arguments, **options)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()
        for end in (found.own, found.other):
            with contextlib.suppress(OSError):
                os.close(end)
