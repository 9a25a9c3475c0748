"""`bitwright eval`: perplexity of a model on a text."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError


def evaluate(
    model: options.Model,
    file: options.TextFile = None,
    context: Annotated[
        int,
        typer.Option(*options.CONTEXT, metavar="N", min=8, help="Tokens in a chunk; its second half is scored."),
    ] = 512,
    chunks: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Chunks to score; all if not given.", show_default=False)
    ] = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    json: options.Json = False,
) -> None:
    """Measure perplexity on a text.

    Lower is better. The definition is llama.cpp's: the second half of every chunk is scored.

    Example: bitwright eval small.gguf -f wiki.txt --chunks 20
    """
    if file is None:
        raise UsageError("eval needs a text: -f FILE")
    from bitwright.evaluate import perplexity

    text = options.read_text(file)
    loaded = models.load(model, context, threads, kv)
    started = time.monotonic()
    with output.progress("scoring") as report:
        result = perplexity(loaded, text, context=context, chunks=chunks, progress=report)
    seconds = time.monotonic() - started
    if json:
        output.print_json(
            {
                "tokens_scored": result.tokens_scored,
                "perplexity": {"mean": result.mean, "standard_error": result.standard_error},
                "context": context,
                "chunks": result.chunks,
                "seconds": seconds,
            }
        )
        return
    print(f"perplexity {result.mean:.4f} ± {result.standard_error:.4f}")
    output.remark(f"{result.chunks} chunks of {context}, {result.tokens_scored} tokens scored, {seconds:.1f} s")
