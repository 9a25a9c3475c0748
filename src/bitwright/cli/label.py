"""`bitwright label` and `bitwright audit`: write what was lost into a model file, and measure whether that is true."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import evaluate, measured, models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Model


def label(
    model: options.Model,
    reference: options.Reference = None,
    file: options.TextFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where the labelled file goes; MODEL itself if not given.",
            show_default=False,
        ),
    ] = None,
    suite: options.Suite = "quick",
    context: evaluate.ChunkTokens = 512,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Write what was lost into a model file.

    The model is measured as eval --reference does. KL divergence with its interval, how long greedy texts stay the
    same, the noise floor, and hashes of weights, reference and text go into the file's metadata, which other programs
    ignore.

    Example: bitwright label small.gguf --reference large.gguf -f wiki.txt
    """
    from bitwright.io import label as labels

    loaded, found = measure(model, reference, file, suite, context, threads)
    new = labels.from_report(found, loaded.file)
    target = loaded.path if out is None else out
    labels.write(loaded.file, new, target)
    if json:
        return output.print_json({"output": str(target), "label": new.values, "report": found})
    show(new.values)
    print(f"wrote {target}")


def audit(
    model: options.Model,
    reference: options.Reference = None,
    file: options.TextFile = None,
    suite: options.Suite = "quick",
    context: evaluate.ChunkTokens = 512,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Measure a model again and say whether its label holds.

    On the label's text the figures should repeat; on any other the intervals should meet. Ends with 1 where they do
    not, where the weights are others, or where there is no label.

    Example: bitwright audit small.gguf --reference large.gguf -f wiki.txt
    """
    from bitwright.io import label as labels

    loaded, found = measure(model, reference, file, suite, context, threads)
    claimed = labels.read(loaded.file)
    if claimed is None:
        complaints: tuple[str, ...] = ("the file has no label (bitwright label writes one)",)
    else:
        complaints = labels.audit(claimed, found, loaded.file).complaints
    if json:
        output.print_json({"holds": not complaints, "complaints": list(complaints),
                           "label": claimed and claimed.values, "report": found})  # fmt: skip
    else:
        if claimed:
            show(claimed.values)
        print(found["words"][0])
        for complaint in complaints:
            print(f"does not hold: {complaint}")
        if not complaints:
            print("the label holds")
    if complaints:
        raise typer.Exit(1)


def measure(
    name: str, reference: str | None, file: Path | None, suite: str, context: int, threads: int | None
) -> tuple[Model, dict[str, Any]]:
    """The model and the report on it."""
    if reference is None or file is None:
        raise UsageError("a label is measured against an original on a text: --reference REF -f FILE")
    if reference.endswith(measured.KLD):
        raise UsageError("a label needs a reference that is a model, not a .kld file")
    from bitwright.reports import report

    started = time.monotonic()
    measured.check_tokens(name, reference)
    setting = measured.prepare(reference, file, suite, context, None, None, threads, "f16", name)
    loaded = models.load(name, context, threads)
    result = measured.evaluate(loaded, setting, measured.identify(loaded))
    return loaded, report.of_evaluation(result, setting.about(time.monotonic() - started))


def show(values: dict[str, Any]) -> None:
    output.print_pairs([(name, f"{x:.6g}" if isinstance(x, float) else x) for name, x in values.items()])
    print()
