"""The README's commands run and print what it shows, numbers aside."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import bitwright
from bitwright.errors import BitwrightError
from bitwright.io import hub

README = Path(__file__).resolve().parent.parent / "README.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples() -> list[tuple[str, str]]:
    """(command, output) of every `$ bitwright` line, in order; later commands use files of earlier ones."""
    blocks = CONSOLE.findall(README.read_text(encoding="utf-8"))
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part.strip()]
    pairs = [part.partition("\n") for part in parts]
    return [(command, shown) for command, _, shown in pairs if command.startswith("bitwright ")]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in an empty folder, where the package is importable and the tour's model can be had."""
    try:
        hub.resolve("smollm2-135m")
    except BitwrightError as error:
        pytest.skip(f"the tour's model could not be had: {error}")
    environment = {**os.environ, "PYTHONPATH": str(Path(bitwright.__file__).parent.parent)}
    return partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path, env=environment)


def without_numbers(text: str) -> str:
    """Speeds and times differ from machine to machine, and so does the tail of a measurement."""
    return re.sub(r"\d+(\.\d+)?", "0", text)


def test_the_readme_shows_something() -> None:
    assert len(examples()) >= 5


def test_the_tour(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for command, shown in examples():
        line = command.replace("bitwright", f"{sys.executable} -m bitwright", 1)
        line = line.replace("examples/", f"{README.parent}/examples/")
        done = run(["bash", "-c", line])
        assert done.returncode == 0, f"{command}: {done.stderr}"
        matches = doctest.OutputChecker().check_output(without_numbers(shown), without_numbers(done.stdout), FLAGS)
        assert matches, f"{command} printed\n{done.stdout}\nbut the README shows\n{shown}"


def test_the_python_example(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    done = run([sys.executable, "-c", code.replace("examples/", f"{README.parent}/examples/")])
    assert done.returncode == 0, done.stderr
    *continuation, perplexity = done.stdout.splitlines()
    assert "Paris" in "".join(continuation) and 1 < float(perplexity) < 100
