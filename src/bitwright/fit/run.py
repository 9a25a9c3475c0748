"""A model fitted to a budget: the best choice of formats found, and the file.

Every stage keeps what it found, so that the same call goes on where a killed one stopped: statistics and quantized
tensors in the cache, for other budgets too; the history of the search until the file is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from bitwright import system
from bitwright.fit import finish
from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Ask, Budget, searched
from bitwright.fit.choices import Levels, Scorer
from bitwright.fit.evolution import Search, evolve
from bitwright.fit.front import front
from bitwright.fit.history import History
from bitwright.fit.kept import Kept
from bitwright.fit.machines import Machines
from bitwright.fit.objectives import over_chunks
from bitwright.fit.problem import Problem, prepare
from bitwright.fit.schedule import Schedule
from bitwright.fit.settings import Fitted, Point, Settings
from bitwright.fit.smallest import smallest
from bitwright.formats import Format
from bitwright.hardware.forecast import forecast
from bitwright.hardware.speed import PredictedSpeed, UnknownSpeed
from bitwright.io import atomic
from bitwright.model.model import load as load_model
from bitwright.progress import Stage, silent
from bitwright.quantizers.metadata import provenance
from bitwright.recipes import Recipe, Shape


def fit(
    source: str | Path,
    ask: Ask,
    settings: Settings,
    output: str | Path,
    stage: Stage = silent,
    told: Callable[[str], object] = lambda said: None,
) -> Fitted:
    """Find formats for the tensors of `source` that lose the least within what is asked for, and write `output`.

    KeyboardInterrupt ends the search early: the best so far is written. `told` hears at once what a user should know
    while that goes on. Raises UsageError for texts too short or an output that must not be written, BudgetError if no
    choice of formats fits.
    """
    started, output = time.monotonic(), Path(output)
    atomic.check(output)
    schedule = Schedule.of(settings, told)
    model = load_model(source)
    with Machines.at(settings.ray, settings.threads, told) as machines:
        engine = finish.original(model, settings)
        schedule.begin(engine, settings.stats is None, stage)
        held_out = finish.held_out(engine, settings, stage, schedule.writes(model, settings))
        problem = prepare(model, ask, settings, stage, machines, schedule)
        choices = problem.choices
        scorer = machines.scorer(engine, problem.palette, choices, problem.pieces.searched, settings.objective)
        start = _start(problem, ask, scorer, stage)
        kept, interrupted = _search(problem, ask, settings, scorer, start, schedule, stage, told)
    found = kept.history()
    best = found.incumbent if found else start
    made = finish.finish(model, Recipe.exact(choices.chosen(best)), output, problem.statistics, held_out,
                         settings.threads, stage, problem.effort, problem.palette)  # fmt: skip
    gained = {}
    if best != start and not interrupted:
        with stage("measuring what the search gained on other text"):
            gained = finish.gains(engine, choices, problem.palette.tensor, held_out, start, best)
    if not interrupted:
        kept.remove()
    assignments = tuple(made.quantized.assignments)
    speed = partial(predicted_speed, problem.budget, ask)
    own = found if settings.objective == "mean" else None  # other objectives are no divergences
    rate = speed({a.tensor: a.format for a in assignments})
    point = Point(made.bytes, made.evaluation.divergence.estimate, rate.tokens_per_second if rate else None, True)
    return Fitted(
        source=model.path,
        output=output,
        budget=problem.budget,
        bytes=made.bytes,
        assignments=assignments,
        bits_per_weight=made.quantized.bits_per_weight,
        seconds=time.monotonic() - started,
        peak_memory_bytes=system.peak_memory_bytes(),
        disk_bytes=problem.palette.bytes,
        predicted_kl=choices.cost_of(best),
        searched=over_chunks(np.append(own.scores(own.best), own.apart(own.best))) if own else None,
        measured=made.evaluation,
        gain_searched=over_chunks(own.scores(0) - own.scores(own.best)) if own and best != start else None,
        gain_apart=over_chunks(own.apart(0) - own.apart(own.best)) if own and best != start else None,
        gains=gained,
        speed=rate,
        front=front(problem.budget, choices, best, point, speed, provenance(settings.stats, problem.statistics)),
        history=replay(found, problem) if found else None,
        interrupted=interrupted,
        warnings=tuple(made.quantized.warnings),
        cut=tuple(schedule.cut),
    )


def _search(
    problem: Problem,
    ask: Ask,
    settings: Settings,
    scorer: Scorer,
    start: Levels,
    schedule: Schedule,
    stage: Stage,
    told: Callable[[str], object],
) -> tuple[Kept, bool]:
    """Search from `start`, or go on where an earlier call stopped, until time is up: what was kept of it, and whether
    the user stopped it."""
    choices = problem.choices
    room = problem.budget.room if ask.max_kl is None else choices.bytes_of(start)
    kept = Kept.of(problem.model.sha256(), choices, problem.pieces.searched, settings, room)
    limits = Search(settings.evaluations, schedule.left, schedule.generation)
    with stage("searching") as report:
        try:
            evolve(choices, scorer, start, room, settings.seed, limits, kept.read(), kept.write, report)
        except KeyboardInterrupt:
            told("stopped searching: the best so far is being written and measured (Ctrl-C again ends at once)")
            return kept, True
    return kept, False


def _start(problem: Problem, ask: Ask, scorer: Scorer, stage: Stage) -> Levels:
    """Where the search starts: the best candidate of the additive model, or the smallest that loses no more than asked
    for."""
    if ask.max_kl is None:
        return allocate(problem.choices, problem.budget.room)
    with stage("finding the smallest that loses no more") as report:
        return smallest(problem.choices, scorer, ask.max_kl, report)


def predicted_speed(budget: Budget, ask: Ask, chosen: Mapping[str, Format]) -> PredictedSpeed | None:
    """The decode speed that is predicted in these formats for the device that was asked for; None without one, or if a
    figure of the device is not known."""
    assignments = Recipe.exact(chosen).assign(Shape.of(budget.outline.metadata), budget.outline.tensors)
    if budget.pace is not None:
        return budget.pace.predicted(assignments, searched(budget.outline))
    if ask.device is None:
        return None
    try:
        return forecast(ask.device, budget.outline, assignments, budget.context // 2, budget.kv).decode
    except UnknownSpeed:
        return None


def replay(history: History, problem: Problem) -> dict[str, object]:
    """The history as JSON, with the model's SHA-256 and what its digits mean: tensors, formats, and the bytes and
    predicted costs of each."""
    choices = problem.choices
    costs = [[float(cost) if np.isfinite(cost) else None for cost in row] for row in choices.cost]
    return {
        **history.json(),
        "sha256": problem.model.sha256(),
        "tensors": list(choices.tensors),
        "formats": [f.name for f in choices.formats],
        "bytes": choices.bytes.tolist(),
        "cost": costs,
    }
