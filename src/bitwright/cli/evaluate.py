"""`bitwright eval`: perplexity of a model on a text, and what it lost beside a reference."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, measured, models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.measure.perplexity import Perplexity

ChunkTokens = Annotated[
    int,
    typer.Option(*options.CONTEXT, metavar="N", min=8, help="Tokens in a chunk; its second half is scored."),
]


def evaluate(
    model: options.Model,
    file: options.TextFile = None,
    reference: options.Reference = None,
    suite: options.Suite = "quick",
    out: options.Report = None,
    calibration: options.Calibration = None,
    context: ChunkTokens = 512,
    chunks: options.Chunks = None,
    kld: Annotated[
        Path | None,
        typer.Option(
            "--kl-divergence-base",
            metavar="FILE",
            help="Write the model's log-probabilities for llama-perplexity.",
            show_default=False,
        ),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Print every statistic of llama-perplexity, under its names.")
    ] = False,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    activations: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Rounding of activations: int8 (finely) or ggml (as llama.cpp does, to see what the file does there).",
            autocompletion=complete.activations,
        ),
    ] = "int8",
    json: options.Json = False,
) -> None:
    """Measure perplexity on a text, and with --reference what was lost.

    Lower is better. The definition is llama.cpp's: the second half of every chunk is scored. With a reference (a model,
    or a .kld file that llama-perplexity wrote): KL divergence, flips, the noise floor and error bars over documents;
    the suite's chunks are spread over the whole text, --chunks takes the first ones, as llama-perplexity does. The
    reference's predictions are kept in the cache and used again.

    Example: bitwright eval small.gguf --reference large.gguf -f wiki.txt
    """
    if file is None:
        raise UsageError("eval needs a text: -f FILE")
    if kld is not None and reference is not None:
        raise UsageError("--kl-divergence-base writes a file of MODEL's own: it goes without --reference")
    if out is not None and reference is None:
        raise UsageError("a report compares a model with its original: -o needs --reference REF")
    from bitwright.measure import kld_file, perplexity, windows
    from bitwright.reports import report

    if out is not None:
        report.check_name(out)
    started = time.monotonic()
    if reference is not None:
        measured.check_tokens(model, reference)
        setting = measured.prepare(reference, file, suite, context, chunks, calibration, threads, kv, model)
        loaded = models.load(model, setting.reference.windows.context, threads, kv, activations)
        result = measured.evaluate(loaded, setting, measured.identify(loaded))
        found = report.of_evaluation(result, setting.about(time.monotonic() - started))
        if out is not None:
            report.write(out, found | {"heat": report.heat(result, loaded, setting.reference)})
        return output.print_json(found) if json else measured.show(result, found["words"], statistics)
    text = options.read_text(file)
    loaded = models.load(model, context, threads, kv, activations)
    if kld is not None:
        with output.progress("writing log-probabilities") as progress:
            kld_file.write(kld, loaded, windows.cut(loaded.tokenizer, text, context, chunks), progress)
        return output.remark(f"wrote {kld}: {output.human_bytes(kld.stat().st_size)}")
    with output.progress("scoring") as progress:
        own = perplexity(loaded, text, context=context, chunks=chunks, progress=progress)
    show_perplexity(own, time.monotonic() - started, json)


def show_perplexity(result: Perplexity, seconds: float, json: bool) -> None:
    if json:
        return output.print_json(
            {
                "tokens_scored": result.tokens_scored,
                "perplexity": {"mean": result.mean, "standard_error": result.standard_error},
                "context": result.context,
                "chunks": result.chunks,
                "seconds": seconds,
            }
        )
    print(f"perplexity {result.mean:.4f} ± {result.standard_error:.4f}")
    output.remark(f"{result.chunks} chunks of {result.context}, {result.tokens_scored} tokens scored, {seconds:.1f} s")
