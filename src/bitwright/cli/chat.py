"""A conversation at a terminal: questions of one or several lines, commands, and a history of what was typed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bitwright.cli import output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer, Conversation

Show = Callable[[Iterator[str]], None]
COMMAND = re.compile(r"/([a-z?]+)(?:\s+(.*))?", re.DOTALL)
QUOTES, LINES = '"""', 1000  # what encloses several lines; how many lines the history keeps
HELP = f"""\
/help         show this
/clear        forget the conversation
/system TEXT  set the system message; without TEXT, remove it
/bye          end, as Ctrl-D does
{QUOTES}           begin a question of several lines; {QUOTES} ends it
Ctrl-C        stop an answer"""


def chat(conversation: Conversation, count: int | None, show: Show, remark: Callable[[Answer], None]) -> None:
    """Read, answer, repeat. Ctrl-C ends an answer; Ctrl-D, or Ctrl-C at the prompt, ends the conversation."""
    from bitwright.engine.conversation import Answer

    kind = "continues your text" if conversation.raw else "Ctrl-C stops an answer"
    output.remark(f"{conversation.engine.path.name}: {kind}, /help lists commands, Ctrl-D ends")
    with history():
        while (text := question()) is not None:
            if (command := COMMAND.fullmatch(text)) is not None:
                if not obey(conversation, command[1], (command[2] or "").strip()):
                    return
                continue
            answer = Answer()
            try:
                show(conversation.ask(text, count, answer))
            except KeyboardInterrupt:
                pass
            except UsageError as error:  # too long a question, or too long a conversation
                conversation.forget_last()
                output.remark(str(error))
            remark(answer)


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


def obey(conversation: Conversation, name: str, text: str) -> bool:
    """Carry out a command; False if it ends the conversation."""
    if name in ("bye", "exit", "quit"):
        return False
    if name in ("help", "?"):
        print(HELP)
    elif name == "clear":
        conversation.clear()
        output.remark("the conversation is forgotten")
    elif name == "system" and conversation.raw:
        output.remark("there is no system message: this model continues your text")
    elif name == "system":
        conversation.instruct(text)
        output.remark("the system message is set" if text else "there is no system message now")
    else:
        output.remark(f"unknown command /{name}; /help lists them")
    return True


@contextlib.contextmanager
def history() -> Iterator[None]:
    """Lines can be edited, and those of earlier conversations are there (arrow up), where Python has readline.

    They are kept in `history` in bitwright's cache, which only the user can read; `bitwright rm history` removes it.
    """
    if sys.platform == "win32" or not importlib.util.find_spec("readline"):
        yield
        return
    import readline

    from bitwright.io.aliases import cache_folder

    path = cache_folder() / "history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(LINES)
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        readline.write_history_file(path)
