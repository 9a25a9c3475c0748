"""`bitwright calibrate`: what a model's inputs are like on texts, for `quantize --stats`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError


def calibrate(
    model: options.Model,
    file: Annotated[
        list[Path] | None,
        typer.Option("-f", "--file", metavar="FILE", help="A text; may be repeated.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where it goes (.dat: the old form).", show_default=False),
    ] = None,
    context: Annotated[
        int, typer.Option(*options.CONTEXT, metavar="N", min=8, help="Tokens in a chunk, each read afresh.")
    ] = 512,
    chunks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Chunks of each text; all if not given.", show_default=False),
    ] = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Gather the importance of every column of every weight.

    The file is an imatrix: llama.cpp reads it, and bitwright reads llama.cpp's. Use text like what the model will read,
    and never the text that you judge it by.

    Example: bitwright calibrate model.f16.gguf -f mine.txt -o model.imatrix.gguf
    """
    if not file:
        raise UsageError("calibrate needs a text: -f FILE")
    if out is None:
        raise UsageError("calibrate needs a place for what it gathers: -o FILE")
    from bitwright import calibration
    from bitwright.engine.calibrate import calibrate

    texts = [(path.name, options.read_text(path)) for path in file]
    loaded = models.load(model, context, threads)
    started = time.monotonic()
    with output.progress("calibrating") as report:
        statistics = calibrate(loaded, texts, context, chunks, report)
    calibration.write(out, statistics)
    seconds, tokens = time.monotonic() - started, statistics.chunks * context
    if json:
        found = {"output": str(out), "weights": len(statistics.gathered), "chunks": statistics.chunks}
        return output.print_json(found | {"tokens": tokens, "seconds": seconds})
    print(f"wrote {out}: {len(statistics.gathered)} weights over {tokens} tokens in {seconds:.1f} s")
    output.remark(f"next: bitwright quantize {model} --to q4_k_m --stats {out} -o small.gguf")
