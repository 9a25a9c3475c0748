"""Running the command line as a user does, in a process of its own (signals, pipes) or to look at what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

COMMAND = [sys.executable, "-m", "bitwright"]


@dataclass
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, with pipes, and with a Ctrl-C that works even where ours is ignored (as in
    a shell's background jobs)."""
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [*COMMAND, *map(str, arguments)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, text=True, env=environment, preexec_fn=heard, **pipes)


def finish(process: subprocess.Popen[str], stdin: str = "") -> Outcome:
    with process:
        try:
            out, err = process.communicate(stdin, timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Outcome(process.returncode, out, err)
