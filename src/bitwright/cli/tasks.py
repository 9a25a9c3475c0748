"""`bitwright tasks`: benchmarks from files, and chains of steps, beside a reference."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import compounding, measured, models, options, output
from bitwright.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from bitwright.engine import Model
    from bitwright.measure.chains.success import Comparison, Score
    from bitwright.measure.tasks.items import Task
    from bitwright.measure.tasks.scores import Paired, TaskScore

CHAINS = "chains"


def tasks(
    model: options.Model,
    names: Annotated[
        str,
        typer.Option("--tasks", metavar="LIST", help="JSONL files, or chains (chains:copying), with commas between."),
    ],
    reference: options.Reference = None,
    limit: Annotated[
        int | None,
        typer.Option(
            *("-L", "--limit"), metavar="N", min=1, help="Items of each task; all if not given.", show_default=False
        ),
    ] = None,
    shots: Annotated[
        int,
        typer.Option(*("-s", "--num-fewshot"), metavar="N", min=0, help="A file's first items, shown solved."),
    ] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option("-n", "--max-tokens", metavar="N", min=1, help="Tokens of a written answer.", show_default=False),
    ] = None,
    unguarded: Annotated[
        bool, typer.Option("--unsafe-code", help="Run code the model wrote even where it cannot be locked in.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the chains.")] = 0,
    context: options.Context = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    json: options.Json = False,
) -> None:
    """Score tasks, and with --reference what was lost on each item.

    A task is a file with a JSON object a line, by its keys: query, choices, gold (the likeliest choice);
    context_options, continuation, gold; context, continuation (word for word); context, answer (exact: what follows
    #### or the last number); HumanEval's and MBPP's (pass@1; code runs without network, in an empty folder, with
    limits). Chains are made here: steps that build on each other, at a level that the reference, or else the model,
    can half do.

    Example: bitwright tasks small.gguf --reference large.gguf --tasks arc_easy.jsonl,chains --limit 200
    """
    started = time.monotonic()
    files, families = parse(names, limit, shots)
    pair = [models.load(name, context, threads, kv) for name in (model, reference) if name is not None]
    scores = [[scored(m, task, max_tokens, unguarded) for m in pair] for task in files]
    chains = chained(pair, families, limit, seed) if families else []
    seconds = time.monotonic() - started
    if json:
        return output.print_json(as_json(scores, chains) | {"seed": seed, "seconds": seconds})
    show(scores, chains)
    output.remark(f"{seconds:.1f} s")


def parse(names: str, limit: int | None, shots: int) -> tuple[list[Task], list[str]]:
    """The tasks of files and the families of chains that a list names; UsageError where it names neither."""
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
        raise UsageError("--tasks names nothing: give JSONL files, or chains")
    return files, families


def scored(model: Model, task: Task, tokens: int | None, unguarded: bool) -> TaskScore:
    from bitwright.measure.tasks import scores

    with output.progress(f"{task.name}, {model.path.name}") as report:
        return scores.score(model, task, tokens, unguarded, report)


def chained(pair: list[Model], families: list[str], limit: int | None, seed: int) -> list[list[Score]]:
    """Scores of each model, family by family."""
    from bitwright.measure.chains import success

    with output.progress("finding levels") as report:
        levels = success.levels(pair[-1], families, seed=seed, progress=report)
    setting = success.Setting(levels, count=limit or success.CHAINS, seed=seed)
    found = []
    for model in pair:
        with output.progress(f"chains, {model.path.name}") as report:
            found.append(success.score(model, setting, free=True, progress=report))
    return found


def show(scores: list[list[TaskScore]], chains: list[list[Score]]) -> None:
    if scores:
        rows = [task_row(*own) for own in scores]
        output.print_table(["task", ">items", "metric", ">right", "95% interval", ">reference's", ">lost", ">won", ">p",
                            ""], rows)  # fmt: skip
    if scores and chains:
        print()
    if chains:
        own, reference = chains[0], chains[-1]
        rows = [chain_row(*both, compared=len(chains) > 1) for both in zip(own, reference, strict=True)]
        titles = ["chain", ">level", ">steps right", ">first step", ">half-life", "95% interval", ">reference's",
                  ">ratio", "95% interval", ">after an error", "95% interval"]  # fmt: skip
        output.print_table(titles, rows)
        if len(chains) > 1:
            from bitwright.measure.chains.success import overall

            value, interval = compounding.plain(overall(own, reference))
            print(f"over all chains the horizon is {value} of the reference's ({interval})")


def task_row(own: TaskScore, reference: TaskScore | None = None) -> tuple[object, ...]:
    from bitwright.measure.tasks.scores import pair

    row = (own.task, len(own.right), own.metric, *measured.spread(own.accuracy, 1, 100))
    if reference is None:
        return (*row, "", "", "", "", "")
    p = pair(own, reference)
    return (*row, f"{100 * reference.accuracy.estimate:.1f}", p.lost, p.won, f"{p.p:.3f}", p.verdict)


def chain_row(own: Score, reference: Score, compared: bool) -> tuple[object, ...]:
    from bitwright.measure.chains.success import compare

    c = compare(own, reference)
    after = compounding.plain(c.after_error) if c.after_error and not math.isnan(c.after_error.estimate) else ("", "")
    life = compounding.spread(c.candidate.half_life, halves)
    row = (c.family, c.level, f"{100 * c.accuracy.estimate:.1f}%", f"{100 * c.candidate.share[1]:.0f}%", *life)
    if not compared:
        return (*row, "", "", "", *after)
    return (*row, halves(c.reference.half_life.estimate), *compounding.plain(c.horizon_ratio), *after)


def halves(steps: float) -> str:
    return "never" if math.isinf(steps) else f"{steps:.1f}"


def as_json(scores: list[list[TaskScore]], chains: list[list[Score]]) -> dict[str, Any]:
    from bitwright.measure.chains.success import compare, overall
    from bitwright.measure.tasks.scores import pair
    from bitwright.views.compounding import of_estimate

    found: dict[str, Any] = {"tasks": [task_json(own[0], pair(*own) if len(own) > 1 else None) for own in scores]}
    if chains:
        pairs = zip(chains[0], chains[-1], strict=True)
        found["chains"] = [chain_json(compare(*both), len(chains) > 1) for both in pairs]
        found["horizon_ratio"] = of_estimate(overall(chains[0], chains[-1])) if len(chains) > 1 else None
    return found


def task_json(own: TaskScore, pair: Paired | None) -> dict[str, Any]:
    from bitwright.views.evaluation import of_interval

    row = {"task": own.task, "form": own.form, "metric": own.metric, "items": len(own.right),
           own.metric: of_interval(own.accuracy), "right": own.right.tolist(),
           **{name: float(right.mean()) for name, right in own.others.items()}}  # fmt: skip
    if pair:
        row |= {"reference": {own.metric: of_interval(pair.reference.accuracy)}, "lost": pair.lost, "won": pair.won,
                "difference": of_interval(pair.difference), "p": pair.p, "verdict": pair.verdict}  # fmt: skip
    return row


def chain_json(c: Comparison, compared: bool) -> dict[str, Any]:
    from bitwright.views.compounding import of_estimate, of_survival

    row = {"family": c.family, "level": c.level, "steps": c.steps, "success": of_survival(c.candidate),
           "step_accuracy": of_estimate(c.accuracy), "excess": of_estimate(c.excess),
           "after_error": of_estimate(c.after_error) if c.after_error else None,
           "disagreements": c.disagreements}  # fmt: skip
    if compared:
        row["reference"] = {"success": of_survival(c.reference), "step_accuracy": of_estimate(c.reference_accuracy),
                            "excess": of_estimate(c.reference_excess)}  # fmt: skip
        row |= {"horizon_ratio": of_estimate(c.horizon_ratio), "loss_change": of_estimate(c.loss_change)}
    return row
