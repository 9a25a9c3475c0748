"""A conversation at a terminal: questions of one or several lines, commands, and a history of what was typed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bitwright.cli import output
from bitwright.cli.commands import Talk, obey
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer, Conversation
    from bitwright.model.replies import Reasoning, Text

Show = Callable[["Iterator[Text | Reasoning]"], None]
QUOTES, LINES = '"""', 1000  # what encloses several lines; how many lines the history keeps
KEYS = ((QUOTES, f"begin a question of several lines; {QUOTES} ends it"), ("Ctrl-C", "stop an answer"))


def chat(conversation: Conversation, count: int | None, show: Show, remark: Callable[[Answer], None]) -> None:
    """Read, answer, repeat. Ctrl-C ends an answer; Ctrl-D, or Ctrl-C at the prompt, ends the conversation."""
    kind = "continues your text" if conversation.raw else "Ctrl-C stops an answer"
    output.remark(f"{conversation.engine.path.name}: {kind}, /help lists commands, Ctrl-D ends")
    talk = Talk(conversation, count, send, KEYS)
    with history():
        while (text := question()) is not None:
            if (done := obey(talk, text)) is not None:
                say(done.said)
                if done.ends:
                    return
                if done.question is None:
                    continue
                text = done.question
            try:
                show(talk.ask(text))
            except KeyboardInterrupt:
                pass
            except UsageError as error:  # too long a question, or too long a conversation
                conversation.forget_last()
                output.remark(str(error))
            remark(talk.answer)


def say(text: str) -> None:
    """What a command has to say: one line is a remark, several are what it was asked for."""
    if "\n" in text:
        print(text)
    elif text:
        output.remark(text)


def send(sequence: str) -> None:
    """Write a control sequence to the terminal; UsageError if stdout is none."""
    if not sys.stdout.isatty():
        raise UsageError("standard output is no terminal")
    output.unchanged().write(sequence)


def question() -> str | None:
    """What the user asks next, in one line or in several between quotes; None at the end of input."""
    try:
        while not (text := input("> ").strip()):
            pass
        if not text.startswith(QUOTES):
            return text
        lines = [text.removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            lines.append(input("... "))
        return "\n".join([*lines[:-1], lines[-1].rstrip().removesuffix(QUOTES)]).strip() or question()
    except EOFError:
        print()
        return None
    except KeyboardInterrupt:
        print()
        raise


@contextlib.contextmanager
def history() -> Iterator[Any]:
    """Lines can be edited, and those of earlier conversations are there (arrow up), where Python has readline, which is
    yielded; elsewhere None.

    They are kept in `history` in bitwright's cache, which only the user can read; `bitwright rm history` removes it.
    """
    if sys.platform == "win32" or not importlib.util.find_spec("readline"):
        yield None
        return
    import readline

    from bitwright.io.aliases import cache_folder

    path = cache_folder() / "history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(LINES)
    try:
        yield readline
    finally:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.write_history_file(path)
        except OSError as error:
            output.remark(f"what was typed is not kept: {path}: {error.strerror}")
