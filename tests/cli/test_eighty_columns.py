"""What verbs print fits a terminal of 80 columns, and colour is only there where one is."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bitwright.cli import output

COMMANDS = (
    "inspect MODEL",
    "inspect MODEL --all",
    "inspect MODEL --tensor blk.0.ffn_down.weight",
    "formats",
    "formats q4_k",
    "explain q4_0",
    "explain q4_0 --device 3090",
    "plan --devices",
    "plan --shape qwen3.5-27b --device 3090",
    "plan --shape qwen3.5-27b --budget 900",
    "list",
    "quantize MODEL --to q4_k_m --dry-run",
    "calibrate MODEL -c 64 --chunks 1 -o FOLDER/a-rather-long-name-for-a-file-of-statistics.gguf",
    "eval MODEL --reference MODEL -c 32",
    "compare MODEL OTHER --reference MODEL -c 32",
    "--help",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_lines_fit(
    bitwright,
    command: str,
    small: Path,
    stories260k: Path,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(output, "LINE_SECONDS", math.inf)  # a terminal has a bar in place of these lines
    places = {"MODEL": str(small), "OTHER": str(stories260k), "FOLDER": str(tmp_path)}
    words = [
        place if (place := places.get(word)) else word.replace("FOLDER", str(tmp_path)) for word in command.split()
    ]
    outcome = bitwright(*words)
    assert outcome.code == 0, outcome.err
    for line in (outcome.out + outcome.err).splitlines():
        assert len(line) <= 80 or len(line.split()) <= 2, line  # a path is not broken
    assert "\x1b" not in outcome.out + outcome.err


def test_verdicts_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "a is better than b, and c is worse; the betterment stays"
    assert output.verdicts(sentence) == sentence
    monkeypatch.setattr(output, "colored", lambda stream=None: True)
    good, bad = "\x1b[32mbetter\x1b[0m", "\x1b[31mworse\x1b[0m"
    assert output.verdicts(sentence) == f"a is {good} than b, and c is {bad}; the betterment stays"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.verdicts("worse") != "worse"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.verdicts("worse") == "worse"
