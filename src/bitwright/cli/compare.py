"""`bitwright compare`: several models against one reference: quality, bytes, speed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import complete, evaluate, measuring, models, options, output
from bitwright.cli.intervals import decimal
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.cli.measuring import Setting
    from bitwright.measure.comparison import Comparison, Contender


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
    text. The fronts name the models that are worth their bytes and their time.

    Example: bitwright compare q4_k_m.gguf q3_k_m.gguf --reference f16.gguf -f wiki.txt
    """
    if file is None or reference is None:
        raise UsageError("compare needs a reference and a text: --reference REF -f FILE")
    if reference.endswith(measuring.KLD):
        raise UsageError("compare needs a reference that is a model, not a .kld file")
    from bitwright.reports import report
    from bitwright.views.comparison import comparison as view

    if out is not None:
        report.check_name(out)
    started = time.monotonic()
    setting = measuring.prepare(reference, file, suite, context, chunks, calibration, threads, kv, candidates[0])
    heats: dict[str, Any] = {}
    result = contest(candidates, setting, context, chunks, heats if out is not None else None)
    found = view(result, setting.about(time.monotonic() - started))
    if out is not None:
        report.write(out, with_heat(found, heats))
    if json:
        output.print_json(found)
        return
    show(result, found["words"])


def contest(
    candidates: list[str], setting: Setting, context: int, chunks: int | None, heats: dict[str, Any] | None = None
) -> Comparison:
    """Score all candidates, then time them in two turns, because the speed of a shared machine drifts. `heats` collects
    each one's view `heat` by name, for a report."""
    from bitwright.measure import comparison, suite, windows
    from bitwright.views.heat import heat

    found: list[tuple[str, Contender]] = []
    assert setting.engine is not None
    same = True  # all are quantizations of one model
    for name in candidates:
        model = models.load(name, context, setting.threads, setting.kv)
        identity = measuring.identify(model)
        own = windows.cut(model.tokenizer, setting.text, context, chunks or suite.CHUNKS[setting.suite], chunks is None)
        shares = own.sha256 == setting.reference.windows.sha256
        shares &= model.config.vocabulary == setting.reference.vocabulary
        same &= shares and suite.parameters(model) == suite.parameters(setting.engine)
        evaluation = measuring.evaluate(model, setting, identity) if shares else None
        if evaluation is not None and heats is not None:
            heats[identity.name] = heat(evaluation, model, setting.reference)
        with output.progress(f"scoring {identity.name}"):
            found.append((name, comparison.contender(model, identity, evaluation, own)))
    return comparison.compare(timed(found, setting, context), comparison.DIVERGENCE if same else comparison.BITS)


def timed(found: list[tuple[str, Contender]], setting: Setting, context: int) -> list[Contender]:
    """With decoding speeds: each model is loaded again in each of two turns, so that only one is in memory."""
    from bitwright.measure import comparison

    seconds: dict[str, list[float]] = {name: [] for name, _ in found}
    with output.progress("timing") as report:
        for turn in range(2):
            for done, name in enumerate(seconds):
                seconds[name] += comparison.seconds_per_token(models.load(name, context, setting.threads, setting.kv))
                report(turn * len(seconds) + done + 1, 2 * len(seconds), name)
    return [replace(contender, speed=comparison.tokens_per_second(seconds[name])) for name, contender in found]


def with_heat(found: dict[str, Any], heats: dict[str, Any]) -> dict[str, Any]:
    """The view of a comparison with each model's heat by its name, if there is any."""
    models = [m | ({"heat": heats[name]} if (name := m["model"]["name"]) in heats else {}) for m in found["models"]]
    return {**found, "models": models}


def show(c: Comparison, words: list[str]) -> None:
    """A row for each model, best first, then the verdict in words."""
    rows = []
    for x in c.contenders:
        i, e = x.identity, x.evaluation
        same = f"{100 * e.same_top1.estimate:.2f}%" if e else ""
        quality = decimal(c.quality(x), 5)
        rows.append((i.name, output.human_bytes(i.file_bytes), f"{i.bits_per_weight:.2f}", *quality, same,
                     f"{x.speed:.1f}"))  # fmt: skip
    titles = ["model", ">bytes", ">bits/weight", f">{c.measure}", "95% interval", ">same top", ">tokens/s"]
    output.print_table(titles, rows)
    print()
    for sentence in words:
        print(sentence)
