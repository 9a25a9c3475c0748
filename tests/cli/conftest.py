"""Running the command line in this process, which is fast, and the small models that its tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.support import Outcome, finish, start

from bitwright.cli import exit_code
from bitwright.measure.rollout.baseline import SUITES


@pytest.fixture
def bitwright(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `bitwright ARGUMENTS`: its exit code, stdout and stderr."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = exit_code([str(a) for a in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def small(stories260k, tmp_path_factory) -> Path:
    """stories260K as Q8_0, made by the command line."""
    target = tmp_path_factory.mktemp("models") / "stories.q8_0.gguf"
    outcome = finish(start("quantize", stories260k, "--to", "q8_0", "-o", target))
    assert outcome.code == 0, outcome.err
    assert "wrote" in outcome.out and str(target) in outcome.out
    return target


@pytest.fixture(scope="session")
def quantized(stories260k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stories260K as q8_0.gguf and q4_0.gguf."""
    from bitwright.quantizers import quantize

    folder = tmp_path_factory.mktemp("quantized")
    for recipe in ("q8_0", "q4_0"):
        quantize(stories260k, recipe, folder / f"{recipe}.gguf")
    return folder


@pytest.fixture
def text(data: Path) -> Path:
    return data / "text/tinystories/tiny.utf8"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which references are cached. They write few and short texts, which otherwise take long."""
    monkeypatch.setitem(SUITES, "quick", (12, 16))
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
