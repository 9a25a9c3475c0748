"""A model on tasks, against a reference: accuracy with its interval, flips, and McNemar's test of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.tasks import choice, written
from bitwright.measure.tasks.items import Task
from bitwright.statistics import studentized
from bitwright.statistics.interval import TOO_LITTLE, Interval
from bitwright.statistics.paired import mcnemar

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.progress import Progress

METRICS = {"choice": "acc_norm", "schema": "acc", "last": "acc", "answer": "exact_match", "humaneval": "pass@1",
           "mbpp": "pass@1"}  # fmt: skip  # as lm-eval names them


@dataclass(frozen=True)
class TaskScore:
    """Whether each item (items,) was right; `others`: the same for other metrics; `details` of each item."""

    task: str
    form: str
    right: NDArray[np.bool_] = field(repr=False)
    others: dict[str, NDArray[np.bool_]] = field(repr=False)
    details: list[choice.Judged] | list[written.Written] = field(repr=False)

    @property
    def metric(self) -> str:
        """The name of the metric of this form of task."""
        return METRICS[self.form]

    @property
    def accuracy(self) -> Interval:
        """Share of items solved, with its interval over items."""
        return studentized.mean(self.right, np.arange(len(self.right)), "items")


def score_task(
    engine: Engine,
    task: Task,
    tokens: int | None = None,
    unguarded: bool = False,
    progress: Progress | None = None,
) -> TaskScore:
    """Run a model on a task; `tokens` and `unguarded` apply to written answers (`written.write`)."""
    if task.form in ("choice", "schema", "last"):
        judged = choice.judge(engine, task, progress)
        others = {"acc": np.array([j.right_unnormed for j in judged])} if task.form == "choice" else {}
        return TaskScore(task.name, task.form, np.array([j.right for j in judged]), others, judged)
    texts = written.write(engine, task, tokens, unguarded, progress)
    return TaskScore(task.name, task.form, np.array([t.right for t in texts]), {}, texts)


@dataclass(frozen=True)
class TaskComparison:
    """A candidate against a reference on the same items: `lost` items that only the reference gets right, `won` those
    that only the candidate does; the `difference` of accuracies; `p` of McNemar's exact test."""

    candidate: TaskScore
    reference: TaskScore
    difference: Interval
    lost: int
    won: int
    p: float

    @property
    def verdict(self) -> str:
        """better, worse or cannot tell, at the 5% level; TOO_LITTLE if no answers to so few items could tell."""
        if self.p >= 0.05:
            return TOO_LITTLE if mcnemar(0, len(self.reference.right)) >= 0.05 else "cannot tell"
        return "worse" if self.lost > self.won else "better"


def compare_tasks(candidate: TaskScore, reference: TaskScore) -> TaskComparison:
    """The same items by both: difference in accuracy, items lost and won, McNemar's test."""
    lost = int((reference.right & ~candidate.right).sum())
    won = int((candidate.right & ~reference.right).sum())
    change = candidate.right.astype(float) - reference.right
    difference = studentized.mean(change, np.arange(len(change)), "items")
    return TaskComparison(candidate, reference, difference, lost, won, mcnemar(lost, won))
