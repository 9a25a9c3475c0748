"""Running the command line as a user does, in a process of its own (signals, pipes) or to look at what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
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
    """The command in a process of its own, with pipes."""
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], text=True, env=environment, **pipes)


def finish(process: subprocess.Popen[str], stdin: str = "") -> Outcome:
    out, err = process.communicate(stdin, timeout=120)
    return Outcome(process.returncode, out, err)
