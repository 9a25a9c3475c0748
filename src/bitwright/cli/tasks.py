"""`bitwright tasks`: benchmarks from files, and chains of steps, compared with a reference."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import models, options, output, tasks_table
from bitwright.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.chains.scoring import ChainScore
    from bitwright.measure.tasks.items import Task
    from bitwright.measure.tasks.scores import TaskScore

CHAINS = "chains"


def tasks(
    model: options.Model,
    names: Annotated[
        str,
        typer.Option(
            "--tasks", metavar="LIST", help="JSONL files and chains (chains, chains:copying), separated by commas."
        ),
    ],
    reference: options.Reference = None,
    limit: Annotated[
        int | None,
        typer.Option(
            *("-L", "--limit"), metavar="N", min=1, help="Use only the first N items of each task.", show_default=False
        ),
    ] = None,
    shots: Annotated[
        int,
        typer.Option(
            *("-s", "--num-fewshot"), metavar="N", min=0, help="Show the first N items of a file solved, as examples."
        ),
    ] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "-n", "--max-tokens", metavar="N", min=1, help="Stop a written answer after N tokens.", show_default=False
        ),
    ] = None,
    unguarded: Annotated[
        bool, typer.Option("--unsafe-code", help="Run the code a model writes even if it cannot be sandboxed.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the chains.")] = 0,
    context: options.Context = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    json: options.Json = False,
) -> None:
    """Score tasks; with --reference, also what was lost on each.

    A task is a file of JSON lines. Its keys say how it is scored: query, choices, gold (the likeliest choice);
    context_options, continuation, gold (the likeliest context); context, continuation (word for word); context, answer
    (exact: what follows #### or the last number); those of HumanEval and MBPP (pass@1; code runs without network, in an
    empty folder, with limits). Chains are generated: steps that build on each other, at a level at which the reference
    (or the model, without one) gets about half right.

    Example: bitwright tasks small.gguf --reference large.gguf --tasks arc_easy.jsonl,chains --limit 200
    """
    from bitwright.views.tasks import tasks as view

    started = time.monotonic()
    files, families = parse(names, limit, shots)
    pair = [models.load(name, context, threads, kv) for name in (model, reference) if name is not None]
    scores = [[_scored(m, task, max_tokens, unguarded) for m in pair] for task in files]
    chains = chained(pair, families, limit, seed) if families else []
    seconds = time.monotonic() - started
    if json:
        output.print_json(view(scores, chains) | {"seed": seed, "seconds": seconds})
        return
    tasks_table.show(scores, chains)
    output.remark(f"{seconds:.1f} s")


def parse(names: str, limit: int | None, shots: int) -> tuple[list[Task], list[str]]:
    """The tasks and the families of chains that a list names; UsageError if it names neither."""
    from bitwright.measure.chains.families import FAMILIES
    from bitwright.measure.tasks import items

    files, families = [], []
    for name in filter(None, (part.strip() for part in names.split(","))):
        kind, _, family = name.partition(":")
        if kind != CHAINS:
            files.append(items.load(Path(name), limit, shots))
        elif not family:
            families += list(FAMILIES)
        elif family in FAMILIES:
            families.append(family)
        else:
            raise UnknownNameError("kind of chain", family, FAMILIES)
    if not files and not families:
        raise UsageError("--tasks names nothing: give JSONL files or chains")
    return files, families


def _scored(engine: Engine, task: Task, tokens: int | None, unguarded: bool) -> TaskScore:
    from bitwright.measure.tasks import scores

    with output.progress(f"{task.name}, {engine.path.name}") as report:
        return scores.score_task(engine, task, tokens, unguarded, report)


def chained(pair: list[Engine], families: list[str], limit: int | None, seed: int) -> list[list[ChainScore]]:
    """For each model its scores, family by family."""
    from bitwright.measure.chains import scoring

    with output.progress("finding levels") as report:
        levels = scoring.fitting_levels(pair[-1], families, seed=seed, progress=report)
    suite = scoring.ChainSuite(levels, count=limit or scoring.CHAINS, seed=seed)
    found = []
    for model in pair:
        with output.progress(f"chains, {model.path.name}") as report:
            found.append(scoring.score_chains(model, suite, free=True, progress=report))
    return found
