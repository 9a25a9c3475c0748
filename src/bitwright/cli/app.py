"""The typer application: every verb under its name."""

from __future__ import annotations

from typing import Annotated

import typer

import bitwright
from bitwright.cli import (
    audit,
    bench,
    calibrate,
    compare,
    evaluate,
    explain,
    formats,
    hardware,
    inspect,
    label,
    plan,
    quantize,
    run,
    tasks,
    tokenize,
)
from bitwright.cli.verb import Verb

app = typer.Typer(
    name="bitwright",
    help="Make open-weight language models small enough for your own machine, run them there, "
    "and measure what was lost."
    "\n\nMODEL is a path, a name on the Hugging Face hub (org/name, org/name:Q4_K_M) or the alias smollm2-135m.",
    rich_markup_mode=None,  # plain help: half the start-up time, and it can be piped
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"bitwright {bitwright.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("inspect")(inspect.inspect)
app.command("calibrate")(calibrate.calibrate)
app.command("quantize")(quantize.quantize)
app.command("run")(run.run)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("label")(label.label)
app.command("audit")(audit.audit)
app.command("tasks")(tasks.tasks)
app.command("bench")(bench.bench)
app.command("plan")(plan.plan)
app.command("explain")(explain.explain)
app.command("hardware")(hardware.hardware)
app.command("tokenize")(tokenize.tokenize)
app.command("formats")(formats.formats)
for command in app.registered_commands:
    command.cls = Verb
