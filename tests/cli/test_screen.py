"""The full-screen chat with answers that a test writes: keys, commands, Markdown, and what never reaches a terminal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyte
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from scripted import Script

from bitwright.cli.screen.app import Screen, Typed
from bitwright.engine import load
from bitwright.engine.conversation import Conversation
from bitwright.model.chat import ChatTemplate

TEMPLATE = "{# <think></think> #}{% for m in messages %}{{ m.content }}\n{% endfor %}"
CODE = "Look:\n\n# Title\n\n**bold** and\n\n```python\ndef f():\n    return 1\n```\n\n- one\n- two\n"


class Seen:
    """A terminal of `rows` and `columns` that keeps what it is `sent`."""

    encoding = "utf-8"

    def __init__(self, rows: int, columns: int) -> None:
        self.size, self.sent = Size(rows, columns), ""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> None:
        self.sent += text
        self._stream.feed(text)

    def flush(self) -> None:
        pass

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def style(self, word: str) -> Any:
        """How the first character of `word` is shown."""
        row, column = next((y, line.index(word)) for y, line in enumerate(self.screen.display) if word in line)
        return self.screen.buffer[row][column]


class Driver:
    """Types, and waits for what the screen shows."""

    def __init__(self, screen: Screen, seen: Seen, type: Callable[[str], None]) -> None:
        self.chat, self.seen, self.type = screen, seen, type

    async def until(self, seen: str | Callable[[], Any]) -> None:
        for _ in range(6000):
            if seen in self.seen.text if isinstance(seen, str) else seen():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{seen} is not on the screen:\n{self.seen.text}")

    async def ask(self, text: str) -> None:
        """Asks, and waits for the end of the answer."""
        self.type(f"{text}\r")
        await self.until(lambda: f"> {text}" in self.seen.text and not self.chat.asking)
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def engine(stories260k: Path) -> Any:
    loaded = load(stories260k)
    loaded.model.__dict__["chat_template"] = ChatTemplate({"default": TEMPLATE}, {})
    return loaded


@pytest.fixture
def talk(engine: Any, monkeypatch: pytest.MonkeyPatch):
    """Runs a chat whose every answer is `script`; `drive` is what the user does. Returns what the terminal got."""

    def run(drive: Callable[[Driver], Awaitable[None]], script: str, rows: int = 24, columns: int = 80) -> Seen:
        seen, tokenizer = Seen(rows, columns), engine.tokenizer
        ids = [*tokenizer.encode(script, False), min(tokenizer.end_of_generation)]
        conversation = Conversation(engine, Script(ids * 5))
        terminal = Vt100_Output(
            seen, lambda: seen.size, term="xterm", default_color_depth=ColorDepth.from_env(), enable_cpr=False
        )

        async def main(keys: Any) -> None:
            screen = Screen(conversation, None, terminal, Typed(None))
            running = asyncio.ensure_future(screen.app.run_async())
            try:
                await drive(Driver(screen, seen, keys.send_text))
                keys.send_text("\x04")
                await running
            finally:
                running.cancel()
                screen.stop()

        with create_pipe_input() as keys, create_app_session(input=keys, output=terminal):
            asyncio.run(main(keys))
        return seen

    for name in ("NO_COLOR", "PROMPT_TOOLKIT_COLOR_DEPTH"):
        monkeypatch.delenv(name, raising=False)
    return run


def test_markdown_is_styled_and_code_highlighted(talk) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        assert d.seen.style("Title").bold and d.seen.style("bold").bold and "**" not in d.seen.text
        assert d.seen.style("def").fg != "default" and "```" not in d.seen.text
        assert re.search(r"^ • one\n • two$", d.seen.text, re.MULTILINE)
        d.seen.size = Size(10, 40)
        d.seen.screen.resize(10, 40)
        d.chat.app._on_resize()
        await d.until(lambda: " • two" in d.seen.screen.display[7] and "tokens" in d.seen.screen.display[8])
        d.type("\x1b[5~")  # PgUp
        await d.until("more below")
        assert "Title" in d.seen.text and "two" not in d.seen.text
        d.type("\x1b[6~")
        await d.until(lambda: "two" in d.seen.text and "more below" not in d.seen.text)

    talk(drive, CODE)


def test_without_colour(talk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        assert d.seen.style("Title").bold and "def f():" in d.seen.text

    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*\b[34][0-7]\b[0-9;]*m", talk(drive, CODE).sent)


def test_reasoning_is_folded_once_the_answer_begins(talk) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        assert "thought for 2 lines" in d.seen.text and "hmm" not in d.seen.text and "Fine." in d.seen.text
        assert d.chat.talk.conversation.messages[-1]["content"] == "Fine." and "hmm" in d.chat.talk.answer.reasoning
        d.type("\x14")  # Ctrl-T
        await d.until("hmm")
        assert "thought for" not in d.seen.text and "think>" not in d.seen.text

    talk(drive, "<think>\nhmm\nyes\n</think>\n\nFine.")


def test_one_line_of_reasoning(talk) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        assert "thought for 1 line (" in d.seen.text

    talk(drive, "<think>hmm</think>Fine.")


def test_control_characters_never_reach_the_terminal(talk) -> None:
    """Neither as they are, nor as Markdown's numbers, nor in a code block, a link or what the user pasted."""
    evil = "a\x1b]0;owned\x07b\x9b31mc &#27;[2J &#x202e;d\n\n```\x1b[5m\nx\x1b[2Jy\n```\n[l](http://e/\x1b]8;;)\u2028\r"

    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        assert r"a\x1b]0;owned\x07b\x9b31mc" in d.seen.text and r"x\x1b[2Jy" in d.seen.text
        d.type("\x1b[200~pasted\x1b]0;owned\x1b[201~\r")
        await d.until(r"> pasted\x1b]0;owned")
        await d.until(lambda: not d.chat.asking)

    sent = talk(drive, evil).sent
    known = r"\[[0-9;?]*[A-HJKPX@hlm]|\]2;|[=>78]|\(B"  # what prompt_toolkit moves and styles with
    for sequence in re.findall(r"\x1b(.{1,12})", sent, re.DOTALL):
        assert re.match(known, sequence) and not sequence.startswith("[5m"), sequence
    assert not re.search("[\x00-\x06\x0b\x0c\x0e-\x1a\x7f-\x9f\u2028\u202e]", sent) and "\x1b]0" not in sent


def test_keys(talk) -> None:
    async def drive(d: Driver) -> None:
        d.type("one\\\rtwo\x1b\rthree\nfour\r")
        await d.until(lambda: not d.chat.asking and "> one" in d.seen.text)
        assert d.chat.talk.conversation.messages[0]["content"] == "one\ntwo\nthree\nfour"
        d.type("\x1b[200~pasted\r\nlines\x1b[201~")
        await d.until(lambda: d.chat.input.text == "pasted\nlines")
        d.type("\x03")  # Ctrl-C
        await d.until(lambda: not d.chat.input.text)
        # Arrow up, again and again: the history is loaded a moment after the prompt was emptied.
        await d.until(lambda: d.type("\x1b[A") or d.chat.input.text == "one\ntwo\nthree\nfour")
        d.type("\x03")

    talk(drive, "ok")


@pytest.mark.parametrize("key", ["\x1b", "\x03"])
def test_an_answer_can_be_stopped_and_asked_again(talk, monkeypatch, key: str) -> None:
    async def drive(d: Driver) -> None:
        d.type("Go\r")
        await d.until("word")
        d.type(key)
        await d.until("stopped")
        said = d.chat.talk.answer
        assert said.stopped == "interrupted" and d.chat.talk.conversation.messages[-1]["content"] == said.text
        assert len(said.ids) < 400
        d.type("/retry\r")
        await d.until(lambda: d.chat.talk.answer is not said and d.chat.talk.answer.ids)
        assert [m["content"] for m in d.chat.talk.conversation.messages if m["role"] == "user"] == ["Go"]
        d.type(key)
        await d.until(lambda: not d.chat.asking)

    step = Script.__call__

    def slow(self: Script, logits: Any) -> int:
        import time

        time.sleep(0.01)
        return step(self, logits)

    monkeypatch.setattr(Script, "__call__", slow)
    talk(drive, "word " * 450)


def test_commands_do_as_in_the_plain_chat(talk, tmp_path: Path) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hello")
        for typed, said in {
            "/help": "/save FILE",
            "/stats": "float32",
            "/system Be brief.": "the system message is set",
            "/copy": "the last block of code is in the clipboard",
            f"/save {tmp_path}/none/f.md": "cannot write",
            "/save ~nobody-has-this-name/f.md": "there is no folder",
            f"/save {tmp_path}/f.md": "saved in",
            "/odd": "unknown command /odd",
        }.items():
            d.type(f"{typed}\r")
            await d.until(said)
        d.type("/clear\r")
        await d.until("conversation is forgotten")
        assert "Hello" not in d.seen.text and [m["role"] for m in d.chat.talk.conversation.messages] == ["system"]
        d.type("long " * 600 + "\r")
        await d.until("shorten it or raise -c")
        assert len(d.chat.talk.conversation.messages) == 1

    sent = talk(drive, CODE).sent
    assert "\x1b]52;c;ZGVmIGYoKToKICAgIHJldHVybiAxCg==\x07" in sent  # def f():\n    return 1\n
    assert CODE.strip() in (tmp_path / "f.md").read_text()


def test_wide_characters_and_emoji(talk) -> None:
    async def drive(d: Driver) -> None:
        await d.ask("Hi")
        line = next(line for line in d.seen.text.splitlines() if "日本語" in line)
        assert line.split() == ["日本語", "👨👩👧", "👍", "☺", "DE", "end"]

    talk(drive, "日本語 👨\u200d👩\u200d👧 👍🏽 ☺️ 🇩🇪 end", 10, 40)
