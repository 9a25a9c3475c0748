"""What the process is given: signals that end it, and streams that may be closed or of another encoding."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType

ENDING = ("SIGTERM", "SIGHUP")  # Python turns SIGINT into KeyboardInterrupt itself


def prepare() -> str | None:
    """Prepare signals and streams for a verb; returns why none can run, or None."""
    for name in ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP: so do we
            signal.signal(number, _end)
    return _streams()


def started() -> None:
    """Let Python look for garbage in cycles again, except in what start-up made, which stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def finish(code: int) -> int:
    """The exit code: 1 instead of 0 if what was printed could not be written. Python would try again and exit with
    120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = code or 1
    return code


def _end(number: int, frame: FrameType | None) -> None:
    """End as on Ctrl-C: what is half written is removed. A second signal must not interrupt that."""
    for name in ENDING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(128 + number)


def _streams() -> str | None:
    """Put an empty stream in the place of a closed one, so that no file gets its number; whatever a stream cannot
    encode is replaced. Without standard output there is no use in working."""
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return "standard output is closed: send it to a file, or to /dev/null" if "stdout" in closed else None
