"""`bitwright eval`: perplexity of a model on a text, and what it lost compared with a reference."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bitwright.cli import complete, evaluation_table, horizon, measuring, models, options, output
from bitwright.errors import UsageError

CHUNK = 512
ChunkTokens = Annotated[int, options.context("Tokens per chunk; the second half of each is scored.", shown=True)]


def evaluate(
    model: options.Model,
    file: options.TextFile = None,
    reference: options.Reference = None,
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            metavar="quick|full|horizon",
            help="How much to measure. horizon: how long it stays with the reference, on fixed prompts.",
            autocompletion=complete.suite,
        ),
    ] = "quick",
    prompts: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="With --suite horizon, use only the first N prompts of each of the five kinds.",
            show_default=False,
        ),
    ] = None,
    out: options.Report = None,
    calibration: options.Calibration = None,
    context: ChunkTokens = CHUNK,
    chunks: options.Chunks = None,
    kld: Annotated[
        Path | None,
        typer.Option(
            "--kl-divergence-base",
            metavar="FILE",
            help="Write the model's log-probabilities to FILE, as llama-perplexity does.",
            show_default=False,
        ),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Also print every statistic of llama-perplexity, under its names.")
    ] = False,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    activations: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="How activations are rounded: int8 (more finely) or ggml (as llama.cpp does).",
            autocompletion=complete.activations,
        ),
    ] = "int8",
    json: options.Json = False,
) -> None:
    """Measure perplexity; with --reference, also what was lost.

    Lower perplexity is better. It is defined as in llama.cpp: the second half of every chunk is scored. With a
    reference (a model, or a .kld file that llama-perplexity wrote) you also get KL divergence, flips, the noise floor
    and error bars over documents. The suite's chunks are spread over the whole text; --chunks takes the first ones, as
    llama-perplexity does. The reference's predictions are cached and reused.

    --suite horizon measures how long greedy texts stay the same, on prompts that come with bitwright, and the KL
    divergence at the same places (docs/horizon.md).

    Example: bitwright eval small.gguf --reference large.gguf
    """
    if suite == horizon.NAME:
        unused = {"-f": file, "--chunks": chunks, "--kl-divergence-base": kld, "--statistics": statistics or None,
                  "--ctx": None if context == CHUNK else context}  # fmt: skip
        horizon.check(unused, reference)
        horizon.run(model, str(reference), prompts, out, calibration, threads, kv, activations, json)
        return
    if prompts is not None:
        raise UsageError("--prompts is for --suite horizon")
    if kld is not None and reference is not None:
        raise UsageError("--kl-divergence-base writes the predictions of MODEL alone: leave out --reference")
    if out is not None and reference is None:
        raise UsageError("a report compares a model with its original: -o also needs --reference REF")
    from bitwright.io import atomic
    from bitwright.measure import kld_file, perplexity, windows
    from bitwright.measure.setting import evaluate as measure
    from bitwright.reports import report
    from bitwright.views.evaluation import evaluation
    from bitwright.views.heat import heat
    from bitwright.views.perplexity import perplexity as view

    if out is not None:
        report.check_name(out)
    started = time.monotonic()
    if reference is not None:
        measuring.check_tokens(model, reference)
        setting = measuring.prepare(reference, file, suite, context, chunks, calibration, threads, kv, model)
        loaded = models.load(model, setting.reference.windows.context, threads, kv, activations)
        result = measure(loaded, setting, stage=output.progress)
        found = evaluation(result, measuring.about(setting, threads, kv, time.monotonic() - started))
        if out is not None:
            report.write(out, found | {"heat": heat(result, loaded, setting.reference)})
        output.print_json(found) if json else evaluation_table.show(
            result, found["headline"], found["words"], statistics
        )
        return
    text = options.measured_text(file)
    loaded = models.load(model, context, threads, kv, activations)
    if kld is not None:
        atomic.check(kld)
        with output.progress("writing log-probabilities") as progress:
            kld_file.write(kld, loaded, windows.cut(loaded.tokenizer, text, context, chunks), progress)
        output.remark(f"wrote {kld}: {output.human_bytes(kld.stat().st_size)}")
        return
    with output.progress("scoring") as progress:
        own = perplexity(loaded, text, context=context, chunks=chunks, progress=progress)
    scores = view(own, time.monotonic() - started)
    output.print_json(scores) if json else _show_perplexity(scores)


def _show_perplexity(p: dict[str, Any]) -> None:
    print(f"perplexity {p['perplexity']['mean']:.4f} ± {p['perplexity']['standard_error']:.4f}")
    scored = f"{p['chunks']} chunks of {p['context']}, {p['tokens_scored']} tokens scored"
    output.remark(f"{scored}, {p['seconds']:.1f} s")
