"""Tables, JSON and progress: the output shared by all verbs."""

from __future__ import annotations

import io
import os
import sys
import time

import pytest

from bitwright.cli import options, output


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98362432, "98.4 MB"), (999_960, "1.0 MB"), (7.3e12, "7.3 TB")],
)
def test_human_bytes(count, text) -> None:
    assert output.human_bytes(count) == text


def test_columns_are_aligned(capsys) -> None:
    output.print_table(["name", ">bytes"], [("a", 5), ("longer", 12345)], indent=2)
    assert capsys.readouterr().out == "  name    bytes\n  a           5\n  longer  12345\n"


def test_json_has_no_nan(capsys) -> None:
    with pytest.raises(ValueError):
        output.print_json({"a": float("nan")})
    output.print_json({"a": None, "b": "é"})
    assert capsys.readouterr().out == '{"a": null, "b": "é"}\n'


def test_prose_is_in_a_log_at_once(monkeypatch) -> None:
    log = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(log, "utf-8"))
    output.say("it serves")
    assert log.getvalue() == b"it serves\n"


def test_progress_without_a_terminal_is_a_line_every_ten_seconds(capsys, monkeypatch) -> None:
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    with output.progress("working") as report:
        report(1, 4)
        report(2, 4, "blk.0")
        report(3, 4)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "working: 50%, 11 s, about 11 s left, blk.0\n"


def test_progress_on_a_terminal_is_there_after_a_second_even_if_nothing_is_reported(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setattr(output, "QUIET_SECONDS", 0.01)
    with output.progress("loading"):
        end = time.monotonic() + 60
        while "loading" not in sys.stderr.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
    assert "loading" in sys.stderr.getvalue()


def test_a_pipe_that_nobody_writes_to_is_named_after_a_second(tmp_path, monkeypatch) -> None:
    pipe, said = tmp_path / "pipe", []
    os.mkfifo(pipe)
    monkeypatch.setattr(output, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(output, "remark", lambda text: said.append(text) or pipe.write_text("words"))
    assert options.read_text(pipe) == "words"
    assert said == [f"waiting for {pipe} to end"]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_color_can_be_disabled(monkeypatch, variable) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.colored(Terminal())
    monkeypatch.setenv(variable, "dumb")
    assert not output.colored(Terminal())
