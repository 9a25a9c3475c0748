"""`bitwright run`: one answer, or a conversation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.cli.chat import Answer, Conversation
from bitwright.errors import UsageError


def run(
    model: options.Model,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT", help="The question; without it you chat, or stdin is read.", show_default=False
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="A system message.", show_default=False)] = None,
    temperature: Annotated[
        float, typer.Option("--temp", metavar="T", min=0, help="0 always takes the likeliest token.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(metavar="K", min=0, help="Choose among the K likeliest tokens; 0 is all.")] = 40,
    top_p: Annotated[
        float,
        typer.Option(metavar="P", min=0, max=1, help="Choose among the likeliest that have P of the probability."),
    ] = 0.95,
    min_p: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Drop what is less likely than P times the likeliest.")
    ] = 0.05,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes sampling repeatable.", show_default=False)
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            *("-n", "--predict"),
            metavar="N",
            min=1,
            help="Tokens at most; until the model stops if not given.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    raw: Annotated[bool, typer.Option("--raw", help="Continue the text as it is, without the chat template.")] = False,
    json: options.Json = False,
) -> None:
    """Ask a model, or chat with it.

    Without a PROMPT you chat, in the model's own template. Ctrl-C stops an answer; what was said so far stays.

    Example: bitwright run smollm2-135m "Why is the sky blue?" --temp 0 -n 64
    """
    from bitwright.engine import Sampler

    interactive = prompt is None and sys.stdin.isatty()
    if json and interactive:
        raise UsageError("--json needs a PROMPT (or a prompt on stdin)")
    if prompt is None and not interactive:
        prompt = sys.stdin.read()
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty: give one as an argument or on stdin")
    loaded = models.load(model, context, threads, kv)
    sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    conversation = Conversation(loaded, sampler, system, raw)
    if prompt is None:
        chat(conversation, count)
    elif json:
        print_json(conversation, prompt, count)
    else:
        answer = Answer()
        stream(conversation.ask(prompt, count, answer))
        explain(answer)


def print_json(conversation: Conversation, prompt: str, count: int | None) -> None:
    answer = Answer()
    for _ in conversation.ask(prompt, count, answer):
        pass
    output.print_json(
        {
            "text": answer.text,
            "ids": answer.ids,
            "stopped": answer.stopped,
            "prompt_tokens": answer.prompt_tokens,
            "prefill_seconds": answer.prefill_seconds,
            "decode_tokens_per_second": answer.decode_rate,
        }
    )


def stream(pieces: Iterator[str]) -> None:
    """Print pieces as they come; the line is ended even when the user interrupts."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    finally:
        print(flush=True)


def explain(answer: Answer) -> None:
    """Say why an answer was cut off and, on a terminal, how fast it came."""
    if answer.stopped == "context":
        output.remark("stopped: the context is full (-c raises it)")
    if sys.stderr.isatty() and answer.decode_rate:
        output.remark(f"{len(answer.ids)} tokens, {answer.decode_rate:.1f} tokens/s")


def chat(conversation: Conversation, count: int | None) -> None:
    """Read, answer, repeat. Ctrl-C ends an answer, Ctrl-D (or Ctrl-C at the prompt) the conversation."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  line editing and history for input()
    kind = "its text is continued" if conversation.raw else "Ctrl-C stops an answer"
    output.remark(f"{conversation.model.path.name}: {kind}, Ctrl-D ends")
    while True:
        try:
            text = input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            raise
        if not text.strip():
            continue
        answer = Answer()
        try:
            stream(conversation.ask(text, count, answer))
        except KeyboardInterrupt:
            pass
        except UsageError as error:  # too long a question, or too long a conversation
            conversation.forget_last()
            output.remark(str(error))
        explain(answer)
