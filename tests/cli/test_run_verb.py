"""`bitwright run`: answers, and conversations in a terminal."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from cli.support import finish, start
from scripted import Script

from bitwright.cli.answering import remark_on, stream
from bitwright.cli.chat import chat
from bitwright.engine import Sampler, load
from bitwright.engine.conversation import Conversation
from bitwright.model.chat import ChatTemplate

ANSWER = ["What is the capital of Japan?", "--temp", "0", "-n", "12"]


def test_run_streams_the_same_greedy_text_every_time(bitwright, small) -> None:
    first = bitwright("run", small, "Once upon a time", "--temp", "0", "-n", "24")
    assert first.code == 0 and first.err == ""
    again = bitwright("run", small, "Once upon a time", "--temp", "0", "-n", "24", "--json").json
    assert first.out == again["text"] + "\n"
    assert len(again["ids"]) == 24 and again["stopped"] == "length"


def test_sampling_repeats_with_a_seed(bitwright, small) -> None:
    def sample(seed: int) -> str:
        return bitwright("run", small, "Once upon", "--temp", "1.5", "--seed", seed, "-n", "24").out

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_run_uses_the_chat_template(bitwright, smollm2) -> None:
    outcome = bitwright("run", smollm2, *ANSWER)
    assert outcome.code == 0 and "Tokyo" in outcome.out and "<|im_" not in outcome.out
    found = bitwright("run", smollm2, *ANSWER, "--json").json
    assert found["prompt_tokens"] > 20  # the template's own system message comes first
    raw = bitwright("run", smollm2, *ANSWER, "--raw", "--json").json
    assert raw["prompt_tokens"] < 16


def test_a_prompt_from_stdin_and_a_full_context(small) -> None:
    outcome = finish(start("run", small, "--temp", "0", "-c", "16"), "Once upon a time")
    assert outcome.code == 0
    assert outcome.out.strip() and "context is full" in outcome.err


def test_a_prompt_longer_than_the_context_is_refused(bitwright, small) -> None:
    outcome = bitwright("run", small, "Once upon a time there was a little girl", "-c", "8")
    assert outcome.code == 2 and "-c" in outcome.err and outcome.err.count("\n") == 1
    assert outcome.out == ""  # not an empty line


def test_json_needs_a_prompt(bitwright, small, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    outcome = bitwright("run", small, "--json")
    assert outcome.code == 2 and "PROMPT" in outcome.err


@pytest.fixture
def thinking(stories260k: Path, monkeypatch):
    """Makes `run` load a model that thinks, and draw what the test says it writes."""

    def load_it(says: str) -> None:
        engine = load(stories260k)
        template = "{# <think></think> #}{% for m in messages %}{{ m.content }}{% endfor %}"
        engine.model.__dict__["chat_template"] = ChatTemplate({"default": template}, {})
        ids = [*engine.tokenizer.encode(says, False), min(engine.tokenizer.end_of_generation)]
        monkeypatch.setattr("bitwright.cli.models.load", lambda *_, **__: engine)
        monkeypatch.setattr("bitwright.engine.Sampler", lambda *_: Script(ids))

    return load_it


def test_reasoning_is_told_apart_from_the_answer(bitwright, thinking) -> None:
    """A pipe gets the answer alone, and JSON has both."""
    thinking("<think>\nWell, \x1b[2J\n</think>\n\nTokyo.")
    found = bitwright("run", "m", "Capital of Japan?")
    assert (found.out, found.err) == ("Tokyo.\n", "reasoning:\nWell, \\x1b[2J\n\n")
    thinking("<think>\nWell,\n</think>\n\nTokyo.")
    told = bitwright("run", "m", "Capital of Japan?", "--json").json
    assert (told["text"], told["reasoning"]) == ("Tokyo.", "Well,")


def test_reasoning_is_dimmed_on_a_terminal(bitwright, thinking, monkeypatch) -> None:
    thinking("<think>Well,</think>Tokyo.")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert bitwright("run", "m", "Capital of Japan?").err.startswith("\x1b[2mWell,\x1b[0m\n\n")


def test_an_answer_that_did_not_come_is_missed(bitwright, thinking) -> None:
    thinking("<think>Well, now, then, let me think.")
    found = bitwright("run", "m", "Capital of Japan?", "-n", "16")
    assert found.out == "" and "there is no answer" in found.err


def test_ctrl_c_keeps_the_text_and_exits_130(smollm2) -> None:
    process = start("run", smollm2, "Tell me a very long story.", "--temp", "0", "-t", "1")
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 1)  # the answer has begun
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert (
        first.strip() and outcome.out.endswith("\n") and "Traceback" not in outcome.err and "error" not in outcome.err
    )


def test_a_conversation_in_a_terminal(smollm2, tmp_path) -> None:
    import pty

    parent, child = pty.openpty()
    env = {"TERM": "dumb", "BITWRIGHT_CACHE": str(tmp_path)}
    process = start("run", smollm2, "--temp", "0", "-n", "24", stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    shown = converse(parent, ["What is the capital of Japan?\n", "And of Italy?\n", "\x04"])
    assert process.wait(30) == 0
    assert "Tokyo" in shown and "Rome" in shown  # the second question makes sense only after the first


def test_a_question_that_does_not_fit_does_not_end_the_chat(small, cache, monkeypatch, capsys) -> None:
    asked = iter(["Once upon a time", "Once upon a time there was a very long question " * 3, "Once upon a time"])

    def type_line(prompt: str) -> str:
        if (line := next(asked, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", type_line)
    conversation = Conversation(load(small, context=24), Sampler(temperature=0))
    chat(conversation, 8, partial(stream, raw=True), remark_on)
    first, second, *rest = [line for line in capsys.readouterr().out.splitlines() if line]
    assert first == second and not rest
    assert [m["content"] for m in conversation.messages[::2]] == ["Once upon a time"] * 2


def converse(terminal: int, lines: list[str]) -> str:
    """Types each line at the prompt and returns everything that the terminal showed."""
    shown, waiting = "", list(lines)
    with os.fdopen(terminal, "rb+", buffering=0) as tty:
        while True:
            try:
                shown += tty.read(4096).decode("utf-8", "replace")
            except OSError:  # Linux reports this when the other side is closed
                return shown
            if waiting and shown.endswith("> "):
                tty.write(waiting.pop(0).encode())
