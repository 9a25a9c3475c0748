"""Before a verb works: which of several models is meant."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from pathlib import Path

import pytest
from cli.support import COMMAND

from bitwright import formats
from bitwright.cli import begin
from bitwright.errors import UsageError
from bitwright.io import gguf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two models."""
    for name in ("a", "b"):
        gguf.write(tmp_path / f"{name}.gguf", {}, [(f"tensor.{name}", (32,), formats.get("f32"), lambda: bytes(128))])
    return tmp_path


@pytest.mark.parametrize("answers", ["2\n", "b.gguf\n", "0\nc.gguf\n\n2\n"])
def test_a_question_takes_a_number_or_a_name(monkeypatch, capsys, answers) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert begin._ask("place", ["a.gguf", "b.gguf"]) == "b.gguf"
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("place holds 2 models:\n  1  a.gguf\n  2  b.gguf\nwhich one? (1 to 2) ")


def test_no_answer_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match=r"place holds 2 models; name one: a\.gguf, b\.gguf"):
        begin._ask("place", ["a.gguf", "b.gguf"])


def test_on_a_terminal_the_user_chooses(folder) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "inspect", folder, "--json"]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as p:
        os.write(ours, b"2\n")
        assert p.stdout is not None and b"tensor.b" in p.stdout.read()
    os.close(theirs)
    os.close(ours)
    assert p.returncode == 0


def test_elsewhere_the_models_are_listed(bitwright, folder) -> None:
    outcome = bitwright("inspect", folder)
    assert outcome.code == 2 and outcome.err.endswith("holds 2 models; name one: a.gguf, b.gguf\n")
