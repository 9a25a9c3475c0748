"""What `bitwright run` does: one answer, or a conversation. Nothing here needs typer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.cli import models, output, process
from bitwright.cli.wrap import Wrap
from bitwright.errors import UsageError
from bitwright.escapes import escaped

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer, Conversation

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
    sampler = Sampler(asked.temperature, asked.top_k, asked.top_p, asked.min_p, asked.seed)
    conversation = Conversation(loaded, sampler, asked.system, asked.raw)
    if prompt is None:
        chat = chat_for(asked)
        conversation.session  # noqa: B018  errors come before the first question
        process.started()
        chat(conversation, asked.count)
        return
    found = Answer()
    pieces = begun(conversation.ask(prompt, asked.count, found))
    if asked.json:
        from bitwright.views.answer import answer as view

        for _ in pieces:
            pass
        output.print_json(view(found))
        return
    stream(pieces, raw=asked.raw)
    remark_on(found)


def chat_for(asked: Asked) -> Callable[[Conversation, int | None], None]:
    """The full-screen chat where there is a screen, unless the user wants the plain one."""
    no_screen = not sys.stdout.isatty() or os.environ.get("TERM") in ("dumb", "unknown")
    if asked.plain or asked.raw or no_screen or os.environ.get("BITWRIGHT_PLAIN"):
        from bitwright.cli.chat import chat

        return partial(chat, show=partial(stream, raw=asked.raw), remark=remark_on)
    from bitwright.cli.screen.app import converse

    return converse


def begun(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces. With the first, start-up is over."""
    for piece in pieces:
        process.started()
        yield piece


def stream(pieces: Iterator[str], reasoning: bool = False, raw: bool = False) -> None:
    """Print pieces as they come, and end the line even when the user interrupts; print nothing if an error comes
    before the first. reasoning: dimmed, where there is colour. raw: control characters as they are, and no line
    breaks."""
    out, width = output.unchanged(), output.screen() if sys.stdout.isatty() else None
    wrap = Wrap(width) if width is not None and not raw else None
    on, off = ("\x1b[2m", "\x1b[0m") if reasoning and output.colored() else ("", "")
    end = ""
    try:
        for piece in pieces:
            if not end:
                end = f"{off}\n"
                out.write(on)
            safe = piece if raw else escaped(piece)
            out.write(wrap.feed(safe) if wrap else safe)
            out.flush()
    except KeyboardInterrupt:
        end = f"{off}\n"  # after the ^C that a terminal shows
        raise
    finally:
        out.write((wrap.finish() if wrap else "") + end)
        out.flush()


def remark_on(answer: Answer) -> None:
    """Say that the context is full and, on a terminal, how fast the answer came."""
    if answer.stopped == "context":
        output.remark(FULL)
    if sys.stderr.isatty() and answer.decode_rate:
        output.remark(f"{len(answer.ids)} tokens, {answer.decode_rate:.1f} tokens/s")
