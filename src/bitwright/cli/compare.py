"""`bitwright compare`: several models against one reference: quality, bytes, speed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import complete, evaluate, measuring, models, options, output
from bitwright.cli.intervals import decimal, divergence
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.comparison import Comparison
    from bitwright.measure.suite import Evaluation


def compare(
    candidates: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="The models to compare.", show_default=False, autocompletion=complete.model
        ),
    ],
    reference: options.Reference = None,
    file: options.TextFile = None,
    suite: options.Suite = "quick",
    out: options.Report = None,
    calibration: options.Calibration = None,
    context: evaluate.ChunkTokens = 512,
    chunks: options.Chunks = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    json: options.Json = False,
) -> None:
    """Compare several models.

    Measures every model as eval --reference does. Differences are paired by document: a model is better, worse, or
    cannot be told apart. Models that are not all quantized from the reference are compared in bits per byte of the
    text. The reference takes part. The fronts name the models that are worth their bytes and their time.

    Without --reference, the reference is the one model in floats, if all have the same shapes and tokens.

    Example: bitwright compare q4_k_m.gguf q3_k_m.gguf --reference f16.gguf
    """
    reference = measuring.original_among(candidates) if reference is None else reference
    if reference.endswith(measuring.KLD):
        raise UsageError("compare needs a reference that is a model, not a .kld file")
    from bitwright.measure.contest import contest
    from bitwright.reports import report
    from bitwright.views.comparison import comparison as view
    from bitwright.views.heat import heat

    if out is not None:
        report.check_name(out)
    started = time.monotonic()
    setting = measuring.prepare(reference, file, suite, context, chunks, calibration, threads, kv, candidates[0])
    heats: dict[str, Any] = {}

    def keep_heat(engine: Engine, evaluation: Evaluation) -> None:
        heats[evaluation.candidate.name] = heat(evaluation, engine, setting.reference)

    result = contest(
        candidates,
        lambda name: models.load(name, context, threads, kv),
        setting,
        chunks,
        output.progress,
        keep_heat if out is not None else None,
    )
    found = view(result, measuring.about(setting, threads, kv, time.monotonic() - started))
    if out is not None:
        report.write(out, with_heat(found, heats))
    if json:
        output.print_json(found)
        return
    show(result, found["headline"], found["words"])


def with_heat(found: dict[str, Any], heats: dict[str, Any]) -> dict[str, Any]:
    """The view of a comparison with each model's heat by its name, if there is any."""
    models = [m | ({"heat": heats[name]} if (name := m["model"]["name"]) in heats else {}) for m in found["models"]]
    return {**found, "models": models}


def show(c: Comparison, headline: str, words: list[str]) -> None:
    """The result in a sentence, a row for each model, best first, then the verdict in words."""
    from bitwright.measure.comparison import DIVERGENCE

    output.say(headline, style=output.bold)
    print()
    quality_of = divergence if c.measure == DIVERGENCE else partial(decimal, digits=5)
    rows = []
    for x in c.contenders:
        i, e, at_zero = x.identity, x.evaluation, x.is_reference and c.measure == DIVERGENCE
        name = f"{i.name} (reference)" if x.is_reference and not at_zero else i.name
        quality = ("0", "the reference") if at_zero else quality_of(c.quality(x))
        same = f"{100 * e.same_top1.estimate:.2f}%" if e and not x.is_reference else ""
        timings = " to ".join(f"{speed:.1f}" for speed in x.spread)
        rows.append((name, output.human_bytes(i.file_bytes), f"{i.bits_per_weight:.2f}", *quality, same,
                     f"{x.speed:.1f}", timings))  # fmt: skip
    titles = ["model", ">bytes", ">bits/weight", f">{c.measure}", "95% interval", ">same top", ">tokens/s", "timings"]
    output.say_left_out(output.print_table(titles, rows, drop=["bits/weight", "same top"]))
    print()
    for sentence in words:
        output.say(sentence, style=output.verdicts)
