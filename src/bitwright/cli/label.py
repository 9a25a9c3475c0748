"""`bitwright label`: write the measured loss into a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bitwright.cli import evaluate, measuring, models, options, output
from bitwright.cli import horizon as suites
from bitwright.errors import UsageError


def label(
    model: options.Model,
    reference: options.Reference = None,
    file: options.TextFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            *("-o", "--output"),
            metavar="FILE",
            help="Write the labelled file here; into MODEL itself if not given, which then must be one file "
            "outside the caches.",
            show_default=False,
        ),
    ] = None,
    suite: options.Suite = "quick",
    context: evaluate.ChunkTokens = 512,
    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            max=60,
            help="Also measure the horizon suite, on the first N prompts of each kind (60: all).",
            show_default=False,
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the label as text for a model card (Markdown).", show_default=False
        ),
    ] = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Write the measured loss into a model file.

    Measures the model as eval --reference does; the text must be long enough for intervals. The label holds the KL
    divergence with its interval, how long greedy texts stay the same, the noise floor, and hashes of weights, reference
    and text. It is metadata of the file, which other programs ignore. With --horizon it also says how long the model
    stays with the original on fixed prompts (docs/horizon.md).

    Example: bitwright label small.gguf --reference large.gguf
    """
    from bitwright.io import atomic
    from bitwright.io import label as labels
    from bitwright.measure.labelled import label_of
    from bitwright.measure.next_token import check_intervals
    from bitwright.views.card import model_card
    from bitwright.views.label import label as view

    target = place(model, out)
    if card is not None and atomic.check(card) == atomic.check(target):
        raise UsageError(f"--card {card} is the labelled model itself; name another file")
    loaded, result, report = measuring.report_on(model, reference, file, suite, context, threads, check_intervals)
    new = label_of(result, loaded.model.opened(), report["about"]["text_sha256"], suite)
    if horizon is not None:
        _, stays = suites.measured(model, str(reference), horizon, threads=threads)
        new = labels.with_horizon(new, stays)
        report["horizon"] = stays["horizon"]
    labels.write(loaded.model.opened(), new, target)
    if card is not None:
        with atomic.replacing(card) as text:
            text.write(model_card(new, target.name, report).encode())
    if json:
        output.print_json(view(new, target, report))
        return
    output.say_headline(report["model"]["name"], report["headline"])
    show(new.values)
    print(f"wrote {target}")


def place(model: str, out: Path | None) -> Path:
    """Where to write the labelled file: `out`, or the file that `model` names. UsageError if it must not be written."""
    from bitwright.io import atomic, hub, inputs
    from bitwright.model import files

    file = files.open(models.resolve(model))
    if out is None:
        if not hub.is_path(model):
            raise UsageError(f"{model} is a file in a cache, which stays as it was downloaded; name an output: -o FILE")
        if len(file.paths) > 1:
            raise UsageError(f"{file.path.name} is one of {len(file.paths)} parts, and a labelled model is one file; "
                             "name an output: -o FILE")  # fmt: skip
        inputs.release(file.path)
    target = file.path if out is None else out
    atomic.check(target)
    return target


def show(values: dict[str, Any]) -> None:
    """Print the values of a label."""
    output.print_pairs([(name, f"{x:.6g}" if isinstance(x, float) else x) for name, x in values.items()])
    print()
