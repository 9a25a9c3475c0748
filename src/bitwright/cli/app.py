"""The typer application: every verb under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bitwright
from bitwright.cli import (
    audit,
    bench,
    cached,
    calibrate,
    compare,
    evaluate,
    explain,
    explore,
    fit,
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


class Grouped(TyperGroup):
    """The help lists the verbs by task."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section for each group."""
        for title, verbs in GROUPS.items():
            commands = [(name, command) for name in verbs if (command := self.get_command(ctx, name))]
            with formatter.section(title):
                width = formatter.width - 6 - max(map(len, self.commands))
                formatter.write_dl([(f"{name:<9}", command.get_short_help_str(width)) for name, command in commands], 9)


app = typer.Typer(
    name="bitwright",
    cls=Grouped,
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


GROUPS: dict[str, dict[str, Callable[..., Any]]] = {  # the verbs by task, as `--help` shows them
    "Look inside": {
        "inspect": inspect.inspect,
        "tokenize": tokenize.tokenize,
        "formats": formats.formats,
        "explore": explore.explore,
    },
    "Plan": {"plan": plan.plan, "explain": explain.explain, "hardware": hardware.hardware},
    "Make smaller": {"fit": fit.fit, "quantize": quantize.quantize, "calibrate": calibrate.calibrate},
    "Run": {"run": run.run, "bench": bench.bench},
    "Measure what was lost": {
        "eval": evaluate.evaluate,
        "compare": compare.compare,
        "tasks": tasks.tasks,
        "label": label.label,
        "audit": audit.audit,
    },
    "Manage what is cached": {"list": cached.list_, "pull": cached.pull, "rm": cached.rm},
}
for verbs in GROUPS.values():
    for name, verb in verbs.items():
        app.command(name)(verb)
for command in app.registered_commands:
    command.cls = Verb
