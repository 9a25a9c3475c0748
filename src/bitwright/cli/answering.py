"""What `bitwright run` does: one answer, or a conversation. Nothing here needs typer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bitwright.cli import models, output, process
from bitwright.cli.wrap import Wrap
from bitwright.errors import UsageError
from bitwright.escapes import escaped

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer, Conversation
    from bitwright.model.replies import Reasoning, Text

FULL = "stopped: the context is full (-c raises it)"


@dataclass(frozen=True)
class Asked:
    """The parameters of `bitwright run`, by the names and with the defaults that it has."""

    model: str
    prompt: str | None = None
    option: str | None = None
    system: str | None = None
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    count: int | None = None
    context: int | None = None
    threads: int | None = None
    kv: str = "f16"
    cache_packed: bool = False
    raw: bool = False
    plain: bool = False
    json: bool = False


def answer(asked: Asked) -> None:
    """Answer the prompt, or chat if there is none and both ends are a terminal."""
    from bitwright.engine import Sampler
    from bitwright.engine.conversation import Answer, Conversation

    if asked.prompt is not None and asked.option is not None:
        raise UsageError("the prompt is given twice: as an argument and with -p")
    prompt = asked.option if asked.prompt is None else asked.prompt
    interactive = prompt is None and sys.stdin.isatty()
    if asked.json and interactive:
        raise UsageError("--json needs a PROMPT (or a prompt on stdin)")
    if prompt is None and not interactive:
        from bitwright.cli import options

        prompt = options.read_text(Path("-"))
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty: give one as an argument or on stdin")
    loaded = models.load(asked.model, asked.context, asked.threads, asked.kv, cache_packed=asked.cache_packed)
    [loaded] = models.with_room([loaded], [1], asked.context)
    sampler = Sampler(asked.temperature, asked.top_k, asked.top_p, asked.min_p, asked.seed)
    conversation = Conversation(loaded, sampler, asked.system, asked.raw)
    if prompt is None:
        chat = chat_for(asked)
        conversation.session  # noqa: B018  errors come before the first question
        process.started()
        chat(conversation, asked.count)
        return
    found = Answer()
    parts = begun(conversation.ask(prompt, asked.count, found))
    if asked.json:
        from bitwright.views.answer import answer as view

        for _ in parts:
            pass
        output.print_json(view(found))
        return
    stream(parts, asked.raw)
    remark_on(found)


def chat_for(asked: Asked) -> Callable[[Conversation, int | None], None]:
    """The full-screen chat where there is a screen, unless the user wants the plain one."""
    no_screen = not sys.stdout.isatty() or os.environ.get("TERM") in ("dumb", "unknown")
    if asked.plain or asked.raw or no_screen or os.environ.get("BITWRIGHT_PLAIN"):
        from bitwright.cli.chat import chat

        return partial(chat, show=partial(stream, raw=asked.raw), remark=remark_on)
    from bitwright.cli.screen.app import converse

    return converse


def begun(parts: Iterator[Text | Reasoning]) -> Iterator[Text | Reasoning]:
    """The parts. With the first, start-up is over."""
    for part in parts:
        process.started()
        yield part


def stream(parts: Iterator[Text | Reasoning], raw: bool = False) -> None:
    """Print an answer as it comes: its text on stdout, and what the model thinks before, set apart, on stderr. raw:
    control characters as they are, and no line breaks."""
    from bitwright.model.replies import Reasoning

    said = (part for part in parts if part.text)
    for reasoning, own in groupby(said, lambda part: isinstance(part, Reasoning)):
        pieces = (part.text for part in own)
        if not reasoning:
            write(pieces, output.unchanged(), raw)
        elif output.colored(sys.stderr):
            write(pieces, sys.stderr, raw, "\x1b[2m", "\x1b[0m\n\n")
        else:
            write(pieces, sys.stderr, raw, "reasoning:\n", "\n\n")


def write(pieces: Iterator[str], out: TextIO, raw: bool, before: str = "", after: str = "\n") -> None:
    """Write pieces as they come, `before` them and `after` them even when the user interrupts; nothing if an error
    comes before the first. raw: as in `stream`."""
    width = output.screen(out) if out.isatty() else None
    wrap = Wrap(width) if width is not None and not raw else None
    end = ""
    try:
        for piece in pieces:
            if not end:
                end = after
                out.write(before)
            safe = piece if raw else escaped(piece)
            out.write(wrap.feed(safe) if wrap else safe)
            out.flush()
    except KeyboardInterrupt:
        end = after  # after the ^C that a terminal shows
        raise
    finally:
        out.write((wrap.finish() if wrap else "") + end)
        out.flush()


def remark_on(answer: Answer) -> None:
    """Say that there was room only for reasoning, that the context is full and, on a terminal, how fast the answer
    came."""
    if answer.reasoning and not answer.text and answer.stopped != "interrupted":
        output.remark("there is no answer: the model was still reasoning")
    if answer.stopped == "context":
        output.remark(FULL)
    if sys.stderr.isatty() and answer.decode_rate:
        output.remark(f"{len(answer.ids)} tokens, {answer.decode_rate:.1f} tokens/s")
