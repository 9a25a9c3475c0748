"""`bitwright audit`: measure whether a model file's label is true."""

from __future__ import annotations

import typer

from bitwright.cli import evaluate, label, measuring, options, output


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
    if they do not, if the weights differ from the labelled ones, or if the file has no label.

    Example: bitwright audit small.gguf --reference large.gguf -f wiki.txt
    """
    from bitwright.io import label as labels
    from bitwright.views.audit import audit as view

    loaded, _, report = measuring.report_on(model, reference, file, suite, context, threads)
    claimed = labels.read(loaded.model.opened())
    if claimed is None:
        complaints: tuple[str, ...] = ("the file has no label (bitwright label writes one)",)
    else:
        complaints = labels.audit(claimed, report, loaded.model.opened()).complaints
    if json:
        output.print_json(view(claimed, complaints, report))
    else:
        if claimed:
            label.show(claimed.values)
        output.say_headline(report["model"]["name"], report["headline"])
        output.say(report["words"][0])
        for complaint in complaints:
            print(f"does not hold: {complaint}")
        if not complaints:
            print("the label holds")
    if complaints:
        raise typer.Exit(1)
