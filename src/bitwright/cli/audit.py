"""`bitwright audit`: measure whether a model file's label is true."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from bitwright.cli import evaluate, horizon, label, measuring, models, options, output
from bitwright.errors import BitwrightError

if TYPE_CHECKING:
    from bitwright.io.label import Label
    from bitwright.measure.windows import Windows


def audit(
    model: options.Model,
    reference: options.Reference = None,
    file: options.TextFile = None,
    suite: options.Suite = "quick",
    context: evaluate.ChunkTokens = 512,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Measure a model again and check its label.

    On the label's text the figures should repeat; on any other text the intervals should overlap. The exit code is 1
    if they do not, if weights or reference are others than the label's, or if the file has no label; the last three are
    found before anything is measured.

    Example: bitwright audit small.gguf --reference large.gguf
    """
    from bitwright.io import label as labels
    from bitwright.measure.horizon.prompts import KINDS
    from bitwright.model import files
    from bitwright.views.audit import audit as view

    opened = files.open(models.resolve(model))
    claimed, report = labels.read(opened), None
    digest = measuring.sha256_of(reference) if claimed and reference else None
    complaints = labels.without_measuring(claimed, opened, digest)
    if claimed is not None and not complaints:
        accept = partial(can_check, claimed)
        _, _, report = measuring.report_on(model, reference, file, suite, context, threads, accept)
        complaints = labels.audit(claimed, report)
        if claimed.horizon_prompts and not complaints:
            _, stays = horizon.measured(model, str(reference), claimed.horizon_prompts // len(KINDS), threads=threads)
            complaints = labels.audit_horizon(claimed, stays)
    if json:
        output.print_json(view(claimed, complaints, report))
    else:
        show(claimed, complaints, report)
    if complaints:
        raise typer.Exit(1)


def can_check(claimed: Label, cut: Windows) -> None:
    """Raises if scoring `cut` cannot check a label: neither has intervals, and the label was measured on another."""
    from bitwright.measure.next_token import check_intervals

    if claimed["chunks_sha256"] == cut.sha256:
        return
    if not claimed.has_interval:
        raise BitwrightError(
            "the label has no interval, so only the text and the chunks it was measured on can check it"
        )
    check_intervals(cut)


def show(claimed: Label | None, complaints: Sequence[str], report: dict[str, Any] | None) -> None:
    """Print the label, what was measured now, and whether they agree."""
    if claimed:
        label.show(claimed.values)
    if report:
        output.say_headline(report["model"]["name"], report["headline"])
        output.say(report["words"][0])
    for complaint in complaints:
        output.say(f"does not hold: {complaint}", style=output.bad)
    if not complaints:
        output.say("the label holds", style=output.good)
