"""Running the command line in this process, which is fast."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cli.support import Outcome

from bitwright.cli import exit_code


@pytest.fixture
def bitwright(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `bitwright ARGUMENTS`: its exit code, stdout and stderr."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = exit_code([str(a) for a in arguments])
        return Outcome(code, *capsys.readouterr())

    return call
