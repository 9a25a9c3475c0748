"""Tables at 80 columns and less: what is left out, what folds, and that colours do not shift columns."""

from __future__ import annotations

import sys

import pytest

from bitwright.cli import output, table

HEADERS = ["format", ">weights", ">buffers", "summary"]
ROWS = [("q4_k_m", "16.8 GB", "1.2 GB", "what most people download first"), ("iq4_xs", "15.0 GB", "1.2 GB", "smaller")]


def test_a_table_without_a_limit_is_whole() -> None:
    lines, left_out = table.layout(HEADERS, ROWS, None, ["buffers"])
    assert not left_out and lines[1] == "q4_k_m  16.8 GB   1.2 GB  what most people download first"


def test_columns_are_left_out_in_their_order_only_while_it_is_too_wide() -> None:
    lines, left_out = table.layout(HEADERS, ROWS, 50, ["buffers", "weights"])
    assert left_out == ["buffers"] and lines[1] == "q4_k_m  16.8 GB  what most people download first"


def test_then_the_longest_text_folds_between_words_in_its_column() -> None:
    lines, _ = table.layout(HEADERS, ROWS, 45)
    assert lines[1:3] == ["q4_k_m  16.8 GB   1.2 GB  what most people", "                          download first"]


def test_colour_and_wide_characters_keep_columns_aligned() -> None:
    lines, _ = table.layout(["a", ">b"], [("\x1b[32myes\x1b[0m", 1), ("模型", 22)])
    assert [table.length(line) for line in lines] == [8, 8, 8]


def test_a_terminal_limits_a_pipe_does_not(capsys, monkeypatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.screen() is None
    monkeypatch.setenv("COLUMNS", "44")
    assert output.print_table(HEADERS, ROWS, 2, ["buffers"]) == ["buffers"]
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 44
    output.say_left_out(["buffers"])
    assert "left out to fit 44 columns: buffers" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("width", [30, 80])
def test_prose_is_broken_between_words(capsys, monkeypatch, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = "Take q4_k_m: it fits rtx-3090-24gb with 5.1 GB left and decodes 39 tokens per second."
    output.say(text, 2)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width and " ".join(" ".join(lines).split()) == text


def test_colour_needs_a_terminal_and_no_refusal(monkeypatch) -> None:
    assert output.good("yes") == "yes" and output.bad("no") == "no"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.good("yes") == "\x1b[32myes\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.good("yes") == "yes"
