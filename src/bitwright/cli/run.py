"""`bitwright run`: one answer, or a conversation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.cli.chat import chat
from bitwright.cli.wrap import Wrap
from bitwright.errors import UsageError
from bitwright.escapes import escaped

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer


def run(
    model: options.Model,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="The question; if not given, chat, or read it from stdin.",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        str | None,
        typer.Option("-p", "--prompt", metavar="PROMPT", help="The question, as an option.", show_default=False),
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system message.", show_default=False)] = None,
    temperature: Annotated[
        float,
        typer.Option("--temp", metavar="T", min=0, help="Sampling temperature; 0 always takes the likeliest token."),
    ] = 0.8,
    top_k: Annotated[
        int, typer.Option(metavar="K", min=0, help="Choose among the K likeliest tokens; 0: among all.")
    ] = 40,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="P", min=0, max=1, help="Choose among the likeliest tokens that together have probability P."
        ),
    ] = 0.95,
    min_p: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Drop tokens less likely than P times the likeliest.")
    ] = 0.05,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Seed that makes sampling repeatable.", show_default=False)
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            *("-n", "--predict"),
            metavar="N",
            min=1,
            help="Stop after N tokens; if not given, when the model stops.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Continue PROMPT without the chat template, and print control characters as they are."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask a model, or chat with it.

    Without a PROMPT you chat, with the model's own template. Ctrl-C stops an answer and keeps the conversation; /help
    lists the commands of a chat. On a terminal, lines are broken between words (not with --raw).

    Example: bitwright run smollm2-135m "Why is the sky blue?" --temp 0 -n 64
    """
    from bitwright.engine import Sampler
    from bitwright.engine.conversation import Answer, Conversation
    from bitwright.views.answer import answer as view

    if prompt is not None and option is not None:
        raise UsageError("the prompt is given twice: as an argument and with -p")
    prompt = option if prompt is None else prompt
    interactive = prompt is None and sys.stdin.isatty()
    if json and interactive:
        raise UsageError("--json needs a PROMPT (or a prompt on stdin)")
    if prompt is None and not interactive:
        prompt = options.read_text(Path("-"))
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty: give one as an argument or on stdin")
    loaded = models.load(model, context, threads, kv)
    sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    conversation = Conversation(loaded, sampler, system, raw)
    if prompt is None:
        chat(conversation, count, partial(stream, raw=conversation.raw), remark_on)
        return
    answer = Answer()
    pieces = conversation.ask(prompt, count, answer)
    if json:
        for _ in pieces:
            pass
        output.print_json(view(answer))
        return
    stream(pieces, raw)
    remark_on(answer)


def stream(pieces: Iterator[str], raw: bool) -> None:
    """Print pieces as they come, and end the line even when the user interrupts; print nothing if an error comes
    before the first. raw: control characters as they are, and no line breaks."""
    out, width = output.unchanged(), output.screen() if sys.stdout.isatty() else None
    wrap = Wrap(width) if width is not None and not raw else None
    end = ""
    try:
        for piece in pieces:
            end = "\n"
            safe = piece if raw else escaped(piece)
            out.write(wrap.feed(safe) if wrap else safe)
            out.flush()
    except KeyboardInterrupt:
        end = "\n"  # after the ^C that a terminal shows
        raise
    finally:
        out.write((wrap.finish() if wrap else "") + end)
        out.flush()


def remark_on(answer: Answer) -> None:
    """Say that the context is full and, on a terminal, how fast the answer came."""
    if answer.stopped == "context":
        output.remark("stopped: the context is full (-c raises it)")
    if sys.stderr.isatty() and answer.decode_rate:
        output.remark(f"{len(answer.ids)} tokens, {answer.decode_rate:.1f} tokens/s")
