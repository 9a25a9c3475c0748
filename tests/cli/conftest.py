"""Running the command line as a user does, in this process (fast) or in one of its own (signals, pipes)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bitwright.cli import exit_code

COMMAND = [sys.executable, "-m", "bitwright"]


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def bitwright(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `bitwright ARGUMENTS`: its exit code, stdout and stderr."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = exit_code([str(a) for a in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, with pipes."""
    environment = {**os.environ, **options.pop("env", {})}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], text=True, env=environment, **pipes)


def finish(process: subprocess.Popen[str], stdin: str = "") -> Outcome:
    out, err = process.communicate(stdin, timeout=120)
    return Outcome(process.returncode, out, err)
