"""`bitwright eval --suite horizon`: how long a model stays with its original."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.cli import measuring, models, options, output
from bitwright.cli.intervals import decimal, divergence, shares, steps
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.measure.horizon.score import Score

NAME = "horizon"


def check(unused: Mapping[str, object], reference: str | None) -> None:
    """UsageError without a reference, or with options that the suite's own prompts leave no room for."""
    for option, value in unused.items():
        if value is not None:
            raise UsageError(f"--suite horizon brings its own prompts: leave out {option}")
    if reference is None or reference.endswith(measuring.KLD):
        raise UsageError("--suite horizon needs the original model, which writes the texts: --reference REF")


def run(
    model: str,
    reference: str,
    prompts: int | None,
    out: Path | None,
    calibration: list[Path] | None,
    threads: int | None,
    kv: str,
    activations: str,
    json: bool,
) -> None:
    """Measure, print, and write a report if `out` names one."""
    from bitwright.reports import report

    if out is not None:
        report.check_name(out)
    score, found = measured(model, reference, prompts, calibration, threads, kv, activations)
    if out is not None:
        report.write(out, found)
    output.print_json(found) if json else show(score, found)


def measured(
    model: str,
    reference: str,
    prompts: int | None = None,
    calibration: list[Path] | None = None,
    threads: int | None = None,
    kv: str = "f16",
    activations: str = "int8",
) -> tuple[Score, dict[str, Any]]:
    """The first `prompts` of each kind (default: all), measured, and their view. UsageError if a calibration text
    shares words with them."""
    from bitwright.measure import setting
    from bitwright.measure.horizon import endings, held_out, original, score
    from bitwright.measure.horizon.prompts import EACH, SHA256, first
    from bitwright.measure.reference import describe
    from bitwright.views.horizon import horizon

    for path in calibration or []:
        held_out.check(path.name, options.read_text(path))
    started = time.monotonic()
    measuring.check_tokens(model, reference)
    base = models.load(reference, None, threads, kv)
    with output.progress(f"writing texts with {base.path.name}") as report:
        written = original.write(base, first(prompts or EACH), report)
    loaded = models.load(model, None, threads, kv, activations)
    identity = setting.identify(loaded, output.progress)
    with output.progress(f"reading them with {loaded.path.name}") as report:
        found = score.score(written, loaded, report)
    with output.progress(f"where {base.path.name} ends, and {loaded.path.name} would") as report:
        ends = endings.probe(base, loaded, report)
    about = measuring.about_run(NAME, SHA256, threads, kv, time.monotonic() - started)
    return found, horizon(found, ends, identity, describe(base), about)


def show(s: Score, view: dict[str, Any]) -> None:
    """Print the sentences, then a line for each kind of prompts and for each way to compute the original."""
    output.say_headline(view["model"]["name"], view["headline"])
    for sentence in view["words"]:
        output.say(sentence)
    print()
    headers = ["prompts", ">count", ">identical %", ">aligned tokens", "95%", ">half part by", ">KL, nats", "95%",
               ">same top %"]  # fmt: skip
    rows = [_row(name, p.candidate, steps(p.first.survival.median, p.first.survival.horizon)[0])
            for name, p in s.parts.items()]  # fmt: skip
    rows += [_row(f"original, {name}", floor, "") for name, floor in s.whole.floors.items()]
    output.print_table(headers, rows, drop=["count", "half part by", "same top %", "95%"])
    for warning in view["warnings"]:
        output.say(f"warning: {warning}")


def _row(name: str, c: Any, median: str) -> tuple[object, ...]:
    identical, same = shares(c.identical)[0], shares(c.same_top1)[0]
    return (name, c.prompts, identical, *decimal(c.aligned, 1), median, *divergence(c.divergence), same)
