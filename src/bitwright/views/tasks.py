"""Scores on tasks and chains: what `tasks --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bitwright.measure.tasks.scores import compare_tasks
from bitwright.views.chains import chains
from bitwright.views.intervals import of_interval
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.measure.chains.scoring import ChainScore
    from bitwright.measure.tasks.scores import TaskComparison, TaskScore


def tasks(scores: Sequence[Sequence[TaskScore]], of_chains: Sequence[Sequence[ChainScore]] = ()) -> dict[str, Any]:
    """tasks[{task, form, metric, items, <metric>{mean, low, high, ...}, right[bool of every item], <other metrics>}],
    and, if chains were run, what the view `chains` has. `scores` has the candidate's of each task, then, if there is a
    reference, the reference's; each task then adds reference{<metric>}, lost, won (items), difference{mean, low,
    high}, p (McNemar's test), verdict."""
    found = {"tasks": [_task(own[0], compare_tasks(*own) if len(own) > 1 else None) for own in scores]}
    return plain(found | (chains(of_chains) if of_chains else {}))


def _task(own: TaskScore, compared: TaskComparison | None) -> dict[str, Any]:
    row = {
        "task": own.task,
        "form": own.form,
        "metric": own.metric,
        "items": len(own.right),
        own.metric: of_interval(own.accuracy),
        "right": own.right,
        **{name: float(right.mean()) for name, right in own.others.items()},
    }
    if compared is None:
        return row
    return row | {
        "reference": {own.metric: of_interval(compared.reference.accuracy)},
        "lost": compared.lost,
        "won": compared.won,
        "difference": of_interval(compared.difference),
        "p": compared.p,
        "verdict": compared.verdict,
    }
