"""Commands of the README and the docs run and print what is shown, on any machine: speeds and the tier may differ.

Those that need a whole model take half a minute of a page, and are for CI.
"""

from __future__ import annotations

import doctest
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from slow import slow_but

import bitwright
from bitwright.errors import BitwrightError
from bitwright.io import hub

README = Path(__file__).resolve().parent.parent / "README.md"
PAGES = [README, *sorted((README.parent / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(e[+-]\d+)?(?![\w.]*\w)")
SECONDS = re.compile(r"\bin [\d.]+ s\b")
TIER = re.compile(r"\btier \w+")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(page: Path) -> list[tuple[str, str]]:
    """(command, output) of every `$ bitwright` line, in order; later commands use files of earlier ones."""
    blocks = CONSOLE.findall(page.read_text(encoding="utf-8"))
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part.strip()]
    pairs = [part.partition("\n") for part in parts]
    return [(command, shown) for command, _, shown in pairs if command.startswith("bitwright ")]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in an empty folder, where the package and the tour's model are available."""
    try:
        hub.resolve("smollm2-135m")
    except BitwrightError as error:
        pytest.skip(f"the tour's model could not be had: {error}")
    environment = {**os.environ, "PYTHONPATH": str(Path(bitwright.__file__).parent.parent)}
    return partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path, env=environment)


def comparable(text: str) -> str:
    """The output that all machines share. A number matches any number, since speeds, times and the last digits of a
    measurement differ; a tier matches any tier. Digits in names (q4_0, int8) stay."""
    return TIER.sub("tier TIER", NUMBER.sub("0", text))


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("48% of its reads", " 8% of its reads", True),
        ("tier avx2, 2 threads; int8 574 Gop/s", "tier avx512_vnni, 1 threads; int8 9.5 Gop/s", True),
        ("decode   183.4  (1.2e-05)", "decode  99  (3e-07)", True),
        ("q4_0  59.7 MB", "q8_0  59.7 MB", False),
        ("reads 31.9 GB/s", "reads nan GB/s", False),
        ("1166.3  1205.8  48%", "1166.3  48%", False),
    ],
)
def test_only_measurements_may_differ(shown: str, printed: str, alike: bool) -> None:
    assert matches(shown, printed) == alike


def matches(shown: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(comparable(shown), comparable(printed), FLAGS)


def stale(shown: str, printed: str) -> list[str]:
    """Lines of a sample whose numbers are no longer printed: figures may differ by 1%, seconds by any factor."""
    lines = SECONDS.sub("", printed).splitlines()
    expected = [line for line in SECONDS.sub("", shown).splitlines() if line.strip() not in ("", "...")]
    return [line for line in expected if not any(close(line, other) for other in lines)]


def close(shown: str, printed: str) -> bool:
    """Whether two lines are alike and all their numbers within 1%."""
    if comparable(shown).split() != comparable(printed).split():
        return False
    pairs = zip(*([float(m[0]) for m in NUMBER.finditer(line)] for line in (shown, printed)), strict=True)
    return all(math.isclose(*pair, rel_tol=0.01) for pair in pairs)


def test_a_stale_sample_is_found() -> None:
    printed = "wrote a: 91.7 MB in 2.5 s\nperplexity 33.3015 ± 2.7797\n"
    assert stale("wrote a: 91.7 MB in 1.4 s\n...\nperplexity 33.32 ± 2.78", printed) == []
    assert stale("perplexity 32.5 ± 2.7797", printed) == ["perplexity 32.5 ± 2.7797"]
    assert stale("wrote a: 98.4 MB in 1.4 s", printed) and stale("wrote b", printed)


def test_the_readme_has_examples() -> None:
    assert len(examples(README)) >= 5


QUICK = [page for page in PAGES if page.name in ("plan.md", "devices.md")]


@pytest.mark.parametrize("page", slow_but(QUICK, filter(examples, PAGES)), ids=lambda page: page.name)
def test_the_tour(page: Path, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for command, shown in examples(page):
        line = command.replace("bitwright", f"{sys.executable} -m bitwright", 1)
        line = line.replace("examples/", f"{README.parent}/examples/")
        done = run(["bash", "-c", line])
        assert done.returncode == 0, f"{command}: {done.stderr}"
        old = [] if command.startswith("bitwright bench") else stale(shown, done.stdout)
        assert not old, f"{command} printed\n{done.stdout}\nbut {page.name} shows\n{old}"
        assert matches(shown, done.stdout), f"{command} printed\n{done.stdout}\nbut {page.name} shows\n{shown}"


@pytest.mark.slow  # test_api.py makes the same calls on a small model
def test_the_python_example(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    done = run([sys.executable, "-c", code.replace("examples/", f"{README.parent}/examples/")])
    assert done.returncode == 0, done.stderr
    model, answer, divergence, fits, multiplied, *continuation = done.stdout.splitlines()
    assert f"# {model}" in code and answer == "The capital of Japan is Tokyo."
    assert re.fullmatch(r"0\.\d+ \(0\.\d+ to 0\.\d+\)", divergence)
    assert (fits, multiplied) == ("True", bitwright.explain("q4_0", "3090")["multiplied_as"])
    assert "Paris" in "".join(continuation)
