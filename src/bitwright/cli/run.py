"""`bitwright run`: one answer, or a conversation."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli import options
from bitwright.cli.answering import Asked, answer


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
    ] = Asked.temperature,
    top_k: Annotated[
        int, typer.Option(metavar="K", min=0, help="Choose among the K likeliest tokens; 0: among all.")
    ] = Asked.top_k,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="P", min=0, max=1, help="Choose among the likeliest tokens that together have probability P."
        ),
    ] = Asked.top_p,
    min_p: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Drop tokens less likely than P times the likeliest.")
    ] = Asked.min_p,
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
    context: options.RoomyContext = None,
    threads: options.Threads = None,
    kv: options.KV = Asked.kv,
    cache_packed: options.CachePacked = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Continue PROMPT without the chat template, and print control characters as they are."
        ),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Chat line by line, as for a screen reader, and not on the whole screen.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask a model, or chat with it.

    Without a PROMPT you chat, with the model's own template, on the whole screen of a terminal, or line by line with
    --plain, with --raw, and where BITWRIGHT_PLAIN is set. Ctrl-C stops an answer and keeps the conversation; /help
    lists the commands of a chat. On a terminal, lines are broken between words (not with --raw). What a model thinks
    before its answer goes to stderr, dimmed on a terminal: `2>/dev/null` hides it, and a pipe gets the answer alone.

    Example: bitwright run smollm2-135m "Why is the sky blue?" --temp 0 -n 64
    """
    answer(Asked(**locals()))  # each parameter under its name
