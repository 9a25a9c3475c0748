"""The typer application: every verb under its name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

import bitwright
from bitwright.cli.verb import ReadsPlainly, Verb

GROUPS: dict[str, dict[str, str]] = {  # the verbs by task, as `--help` shows them, and each one's module.function
    "Look inside": {
        "inspect": "inspect.inspect",
        "tokenize": "tokenize.tokenize",
        "formats": "formats.formats",
        "explore": "explore.explore",
    },
    "Plan": {"plan": "plan.plan", "explain": "explain.explain", "hardware": "hardware.hardware"},
    "Make smaller": {
        "fit": "fit.fit",
        "quantize": "quantize.quantize",
        "calibrate": "calibrate.calibrate",
        "convert": "convert.convert",
    },
    "Run": {"run": "run.run", "serve": "serve.serve", "connect": "connect.connect", "bench": "bench.bench"},
    "Measure what was lost": {
        "eval": "evaluate.evaluate",
        "compare": "compare.compare",
        "tasks": "tasks.tasks",
        "label": "label.label",
        "audit": "audit.audit",
    },
    "Publish": {"push": "push.push", "modelfile": "modelfile.modelfile"},
    "Manage what is cached": {"list": "cached.list_", "pull": "cached.pull", "rm": "cached.rm"},
}
HOMES = {verb: home for verbs in GROUPS.values() for verb, home in verbs.items()}


@functools.cache
def command(verb: str) -> Any:
    """The command of a verb. Only what is asked for is imported: all verbs together take longer than an answer."""
    module, function = HOMES[verb].split(".")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(verb, cls=Verb)(getattr(importlib.import_module(f"bitwright.cli.{module}"), function))
    return typer.main.get_command(alone)


class Verbs(Mapping[str, Any]):
    """The command of each verb."""

    def __getitem__(self, verb: str) -> Any:
        return command(verb)

    def __iter__(self) -> Iterator[str]:
        return iter(HOMES)

    def __len__(self) -> int:
        return len(HOMES)


class Grouped(ReadsPlainly, TyperGroup):
    """The help lists the verbs by task."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Verbs()  # type: ignore[assignment]  # nothing is ever added

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
