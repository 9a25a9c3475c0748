"""The full-screen chat as a program in a terminal: signals, sizes, its end, and when there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import terminal

from bitwright.cli import answering, chat
from bitwright.cli.answering import Asked


@pytest.fixture
def chatting(stories260k: Path, tmp_path: Path):
    """A chat that continues texts, at temperature 0."""

    def begin(**options):
        flags = ("run", stories260k, "--temp", "0", "-c", "128")
        return terminal(*flags, BITWRIGHT_CACHE=str(tmp_path), **options)

    return begin


def test_a_chat_in_a_terminal(chatting, tmp_path: Path) -> None:
    with chatting() as t:
        t.until("/help lists")
        t.type("Once upon a time\r")
        t.until("the context is full")
        t.resize(10, 40)
        t.until(lambda: "128 of 128 tokens" in t.screen.display[8] and t.screen.display[9].startswith(">"))
        for stop in (lambda: t.type("\x1a"), lambda: t.process.send_signal(signal.SIGTSTP)):  # Ctrl-Z
            stop()
            t.until(lambda: t.state == "T")
            assert t.restored
            t.process.send_signal(signal.SIGCONT)
            t.resize(24, 80)
            t.until(lambda: "128 of 128 tokens" in t.screen.display[22] and "is full" in t.text)
        t.type(f"/save {tmp_path / 'said.md'}\r")
        t.until("saved in")
        t.process.send_signal(signal.SIGINT)
        assert t.end() == 130 and t.restored
    saved = (tmp_path / "said.md").read_text()
    assert saved.startswith("**user**\n\nOnce upon a time\n\n**assistant**\n\n, there was")
    left = t.sent.split(b"\x1b[?1049l")[-1]  # on the terminal from before
    assert b"> Once upon a time" in left and b", there was" in left
    assert (tmp_path / "history").read_text().splitlines()[-2] == "Once upon a time"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_restores_the_terminal(chatting, number: signal.Signals) -> None:
    heard = signal.signal(number, signal.SIG_DFL)  # a program inherits that a signal is ignored, as nohup has it
    with chatting() as t:
        signal.signal(number, heard)
        t.until("/help lists")
        t.type("Once\r")
        t.until("upon a time")
        t.process.send_signal(number)
        assert t.end() == 128 + number and t.restored


def test_it_ends_with_its_terminal(chatting) -> None:
    with chatting() as t:
        t.until("/help lists")
        os.close(t.other)
        os.close(t.own)
        assert t.process.wait(60) in (0, 1)  # 1 if it could not write any more


def test_what_has_no_screen_gets_the_plain_chat(monkeypatch) -> None:
    def full(*options: str, **environment: str) -> bool:
        for name in ("TERM", "BITWRIGHT_PLAIN"):
            monkeypatch.setenv(name, environment.get(name, ""))
        chosen = answering.chat_for(Asked("m", **dict.fromkeys(options, True)))
        return getattr(chosen, "func", None) is not chat.chat

    assert not full(TERM="xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert full(TERM="xterm") and not full(TERM="dumb") and not full(TERM="xterm", BITWRIGHT_PLAIN="1")
    assert not full("plain", TERM="xterm") and not full("raw", TERM="xterm")


def test_an_answer_needs_none_of_it(stories260k: Path) -> None:
    code = (
        "import sys; from bitwright.cli import exit_code;"
        f"exit_code(['run', {str(stories260k)!r}, 'Once', '-n', '2']);"
        "sys.exit(str(sorted({'prompt_toolkit', 'rich', 'markdown_it', 'pygments'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"
