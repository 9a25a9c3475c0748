"""The tables of `bitwright tasks`: one of tasks, one of chains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bitwright.cli import output
from bitwright.cli.intervals import decimal, spread

if TYPE_CHECKING:
    from bitwright.measure.chains.scoring import ChainScore
    from bitwright.measure.tasks.scores import TaskScore


def show(scores: list[list[TaskScore]], chains: list[list[ChainScore]]) -> None:
    """Print the scores of each task (candidate, then reference) and of each model on the chains."""
    if scores:
        rows = [_task_row(*own) for own in scores]
        titles = ["task", ">items", "metric", ">right", "95% interval", ">reference's", ">lost", ">won", ">p", ""]
        output.say_left_out(output.print_table(titles, rows, drop=["metric", "items", "p"]))
    if scores and chains:
        print()
    if chains:
        own, reference = chains[0], chains[-1]
        rows = [_chain_row(*both, compared=len(chains) > 1) for both in zip(own, reference, strict=True)]
        titles = ["chain", ">level", ">steps right", ">first step", ">half-life", "95% interval", ">reference's",
                  ">ratio", "95% interval", ">after an error", "95% interval"]  # fmt: skip
        output.print_table(titles, rows)
        if len(chains) > 1:
            from bitwright.measure.chains.comparison import overall_horizon_ratio

            value, interval = decimal(overall_horizon_ratio(own, reference))
            output.say(f"over all chains the horizon is {value} times the reference's ({interval})")


def _task_row(own: TaskScore, reference: TaskScore | None = None) -> tuple[object, ...]:
    from bitwright.measure.tasks.scores import compare_tasks

    row = (own.task, len(own.right), own.metric, *decimal(own.accuracy, 1, 100))
    if reference is None:
        return (*row, "", "", "", "", "")
    p = compare_tasks(own, reference)
    return (*row, f"{100 * reference.accuracy.estimate:.1f}", p.lost, p.won, f"{p.p:.3f}", p.verdict)


def _chain_row(own: ChainScore, reference: ChainScore, compared: bool) -> tuple[object, ...]:
    from bitwright.measure.chains.comparison import compare_chains

    c = compare_chains(own, reference)
    after = decimal(c.after_error) if c.after_error and not math.isnan(c.after_error.estimate) else ("", "")
    life = spread(c.candidate.half_life, _halves)
    row = (c.family, c.level, f"{100 * c.accuracy.estimate:.1f}%", f"{100 * c.candidate.share[1]:.0f}%", *life)
    if not compared:
        return (*row, "", "", "", *after)
    return (*row, _halves(c.reference.half_life.estimate), *decimal(c.horizon_ratio), *after)


def _halves(steps: float) -> str:
    return "never" if math.isinf(steps) else f"{steps:.1f}"
