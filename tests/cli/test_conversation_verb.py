"""A chat's questions, commands and history, and the wrapping of what a model answers."""

from __future__ import annotations

import io
import random
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from bitwright.cli.answering import remark_on, stream
from bitwright.cli.chat import KEYS, chat, history, question
from bitwright.cli.commands import COMMANDS
from bitwright.cli.screen.app import Typed
from bitwright.cli.wrap import Wrap, width
from bitwright.engine import Sampler, load
from bitwright.engine.conversation import Conversation
from bitwright.model.replies import Text

SENTENCE = "The quick brown fox jumps over the lazy dog, and then    over `a_rather_long_identifier_here` once more."


def typed(monkeypatch: pytest.MonkeyPatch, lines: Iterable[str]) -> None:
    """Lets `input` give these lines, then the end of input."""
    rest = iter(lines)

    def give(prompt: str) -> str:
        if (line := next(rest, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", give)


def wrapped(text: str, columns: int, seed: int = 0) -> str:
    """`text` in pieces of 1 to 5 characters through a Wrap."""
    dice, wrap, shown = random.Random(seed), Wrap(columns), ""
    while text:
        size = dice.randint(1, 5)
        shown, text = shown + wrap.feed(text[:size]), text[size:]
    return shown + wrap.finish()


@pytest.mark.parametrize("columns", [20, 33, 80, 200])
def test_no_word_is_broken(columns: int) -> None:
    shown = wrapped(SENTENCE, columns)
    assert shown.split() == SENTENCE.split()
    assert all(len(line) <= max(columns, 31) for line in shown.splitlines())
    assert {wrapped(SENTENCE, columns, seed) for seed in range(9)} == {shown}


def test_what_wrapping_leaves_alone() -> None:
    code = "def f(x):\n    return x\n\n  * item\n"
    assert wrapped(code, 20) == code
    assert wrapped("trailing  ", 20) == "trailing  "
    assert wrapped("aaaa " + "b" * 30 + " cc", 20) == "aaaa\n" + "b" * 30 + "\ncc"
    assert wrapped("a\tb", 20) == "a       b"


def test_wide_characters_wrap_anywhere_and_appear_at_once() -> None:
    wrap = Wrap(10)
    assert wrap.feed("日本") == "日本" and width("日本é") == 5 and width("e\u0301") == 1
    assert wrapped("日本語の文章です", 10) == "日本語の文\n章です"


def test_only_a_terminal_wraps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stream(iter([Text(SENTENCE)]))
    assert capsys.readouterr().out == SENTENCE + "\n"
    monkeypatch.setenv("COLUMNS", "40")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", terminal)
    stream(iter([Text(SENTENCE)]))
    assert len(terminal.getvalue().splitlines()) == 4
    stream(iter([Text(SENTENCE)]), raw=True)
    assert terminal.getvalue().endswith(SENTENCE + "\n")


def test_questions_of_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, ["", " one ", '"""two', "  lines", 'end"""', '"""', "three", '"""', '"""in one"""', '"""open'])
    assert [question() for _ in range(5)] == ["one", "two\n  lines\nend", "three", "in one", None]


def test_commands(small: Path, cache: Path, monkeypatch, capsys) -> None:
    conversation = Conversation(load(small, context=64), Sampler(temperature=0))
    conversation.raw = False
    asked: list[list[dict[str, str]]] = []

    def ask(text, count, answer):
        conversation.messages.append({"role": "user", "content": text})
        asked.append(list(conversation.messages))
        return iter(())

    monkeypatch.setattr(conversation, "ask", ask)
    lines = "/help|/system Be brief.|a|/clear|b|/system|c|/odd|/usr/bin is?|/bye|d"
    typed(monkeypatch, lines.split("|"))
    chat(conversation, None, lambda parts: None, remark_on)
    said = capsys.readouterr()
    assert all(f"/{command.names[0]}" in said.out and command.help in said.out for command in COMMANDS)
    assert all(key in said.out for key, _ in KEYS)
    brief = {"role": "system", "content": "Be brief."}
    a, b, c, path = ({"role": "user", "content": text} for text in ("a", "b", "c", "/usr/bin is?"))
    assert asked == [[brief, a], [brief, b], [b, c], [b, c, path]]
    for remark in ("message is set", "conversation is forgotten", "no system message now", "unknown command /odd"):
        assert remark in said.err


def test_history_is_kept_for_the_user_alone(cache: Path) -> None:
    readline = pytest.importorskip("readline")
    readline.clear_history()
    with history():
        readline.add_history("a question")
    path = cache / "history"
    assert "a question" in path.read_text() and stat.S_IMODE(path.stat().st_mode) == 0o600
    readline.clear_history()
    with history():
        assert readline.get_history_item(1) == "a question"
    readline.clear_history()


def test_a_question_of_any_text_is_kept_in_the_history() -> None:
    readline = pytest.importorskip("readline")
    readline.clear_history()
    typed = Typed(readline)
    typed.store_string("one\ntwo")
    typed.store_string("pasted\0 bytes")
    assert typed.load_history_strings() == ["pasted bytes", "one\ntwo"]
    readline.clear_history()


def test_a_history_that_cannot_be_kept_is_no_failure(tmp_path: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("readline")
    (tmp_path / "file").touch()
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "file"))
    with history():
        pass
    assert f"what was typed is not kept: {tmp_path / 'file'}" in capsys.readouterr().err


def test_the_prompt_as_an_option(bitwright, small: Path) -> None:
    flags = ("--temp", "0", "-n", "8")
    assert bitwright("run", small, "-p", "Once", *flags).out == bitwright("run", small, "Once", *flags).out
    twice = bitwright("run", small, "Once", "-p", "Once")
    assert twice.code == 2 and "the prompt is given twice" in twice.err
