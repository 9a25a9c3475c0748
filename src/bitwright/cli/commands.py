"""What can be typed in a chat besides questions: one table, for the plain chat and the full-screen one."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bitwright.engine.conversation import Answer, Conversation
from bitwright.errors import BitwrightError
from bitwright.escapes import escaped

if TYPE_CHECKING:
    from bitwright.model.replies import Reasoning, Text

COMMAND = re.compile(r"/([a-z?]+)(?:\s+(.*))?", re.DOTALL)


@dataclass
class Talk:
    """A conversation at a terminal. count: the most tokens of an answer, or None. send: writes a control sequence to
    the terminal. keys: what else the chat's help lists. answer: the latest."""

    conversation: Conversation
    count: int | None
    send: Callable[[str], None]
    keys: Sequence[tuple[str, str]] = ()
    answer: Answer = field(default_factory=Answer)

    def ask(self, text: str) -> Generator[Text | Reasoning, None, None]:
        """The answer to `text`, as it comes."""
        self.answer = Answer()
        return self.conversation.ask(text, self.count, self.answer)


class Done(NamedTuple):
    """What a command came to: what to say, a question to ask now, whether all before is forgotten, and whether the chat
    ends."""

    said: str = ""
    question: str | None = None
    cleared: bool = False
    ends: bool = False


class Command(NamedTuple):
    """A command: its names, the word for its argument, what help says, and what it does."""

    names: tuple[str, ...]
    argument: str
    help: str
    do: Callable[[Talk, str], Done]


def obey(talk: Talk, text: str) -> Done | None:
    """Carry out a command; None if `text` is a question (`/usr/bin is full` is one)."""
    if (typed := COMMAND.fullmatch(text)) is None:
        return None
    command = next((command for command in COMMANDS if typed[1] in command.names), None)
    if command is None:
        return Done(f"unknown command /{typed[1]}; /help lists them")
    try:
        return command.do(talk, (typed[2] or "").strip())
    except BitwrightError as error:
        return Done(str(error))


def _help(talk: Talk, _: str) -> Done:
    rows = [(f"/{command.names[0]} {command.argument}", command.help) for command in COMMANDS]
    return Done("\n".join(f"{left:<14}{right}" for left, right in (*rows, *talk.keys)))


def _clear(talk: Talk, _: str) -> Done:
    talk.conversation.clear()
    talk.answer = Answer()
    return Done("the conversation is forgotten", cleared=True)


def _system(talk: Talk, text: str) -> Done:
    if talk.conversation.raw:
        return Done("there is no system message: this model continues your text")
    talk.conversation.instruct(text)
    return Done("the system message is set" if text else "there is no system message now")


def _retry(talk: Talk, _: str) -> Done:
    question = talk.conversation.forget_last()
    return Done("there is no question to ask again") if question is None else Done(question=question)


def _copy(talk: Talk, _: str) -> Done:
    if not talk.answer.text:
        return Done("there is no answer to copy")
    from markdown_it import MarkdownIt

    blocks = [token.content for token in MarkdownIt().parse(talk.answer.text) if token.type == "fence"]
    text = escaped(blocks[-1] if blocks else talk.answer.text)  # what is pasted into a shell must not control it
    talk.send(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a")  # OSC 52, "Manipulate Selection Data":
    # https://invisible-island.net/xterm/ctlseqs/ctlseqs.html#h3-Operating-System-Commands
    what = "the last block of code" if blocks else "the answer"
    return Done(f"{what} is in the clipboard, if your terminal lets programs write there (OSC 52)")


def _save(talk: Talk, name: str) -> Done:
    if not name:
        return Done("name a file: /save FILE")
    from bitwright.io import atomic

    path = Path(os.path.expanduser(name))  # noqa: PTH111  pathlib's own fails if there is no such user
    parts = [f"**{message['role']}**\n\n{message['content'].strip()}\n" for message in talk.conversation.messages]
    with atomic.replacing(path) as file:
        file.write(escaped("\n".join(parts)).encode())
    return Done(f"saved in {path}")


def _stats(talk: Talk, _: str) -> Done:
    answer, engine = talk.answer, talk.conversation.engine
    what = f"{engine.config.architecture}, {engine.model.format}, {engine.options.kv} cache"
    lines = [f"model    {engine.path.name}: {what}", f"context  {context(talk)}"]
    if answer.ids:
        read = f", read in {answer.prefill_seconds:.2f} s"
        lines.append(f"prompt   {answer.prompt_tokens} tokens, {answer.cached_tokens} of them known{read}")
        lines.append(f"answer   {', '.join([f'{len(answer.ids)} tokens', *filter(None, [speed(answer)])])}")
    return Done("\n".join(lines))


def _end(talk: Talk, _: str) -> Done:
    return Done(ends=True)


def context(talk: Talk) -> str:
    """How much of the context the conversation takes."""
    limit = talk.conversation.engine.context  # the last token is not read back
    return f"{min(talk.answer.prompt_tokens + len(talk.answer.ids), limit)} of {limit} tokens"


def speed(answer: Answer) -> str:
    """How fast the answer came, or comes; empty if only one token came."""
    return f"{answer.decode_rate:.1f} tokens/s" if answer.decode_rate else ""


COMMANDS = (
    Command(("help", "?"), "", "show this", _help),
    Command(("clear",), "", "forget the conversation", _clear),
    Command(("system",), "TEXT", "set the system message; without TEXT, remove it", _system),
    Command(("retry", "regen"), "", "ask the last question again", _retry),
    Command(("copy",), "", "copy the last code of the answer, or all of it", _copy),
    Command(("save",), "FILE", "write the conversation to FILE, as Markdown", _save),
    Command(("stats",), "", "show the model, the context in use and speeds", _stats),
    Command(("bye", "exit", "quit"), "", "end, as Ctrl-D does", _end),
)
