"""How far models get: success against the number of steps, half-lives, and whether errors compound.

A chain's first n steps are a chain of n steps, so the step that is first wrong tells success at every n at once.
Were all steps like the first, and independent, n of them would succeed with p(1)^n; `excess` is how far the measured
logarithm lies from that, per step. After an error the chain goes on from a wrong premise: `after_error` judges those
steps by their own premises, and so tells whether an error makes the next more likely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.chains.chain import Family
from bitwright.measure.chains.families import FAMILIES
from bitwright.measure.chains.run import Forced, Free, read, run
from bitwright.progress import Stages
from bitwright.statistics import percentile, resampling, survival
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import Float64
from bitwright.statistics.survival import Runs, Survival

if TYPE_CHECKING:
    from bitwright.engine import Model
    from bitwright.progress import Progress

STEPS, CHAINS, SINGLES = 16, 24, 1  # single steps for every chain, for p(1)
TRIED, TRIED_STEPS = 4, 8  # chains that tell whether a level is too easy


@dataclass(frozen=True)
class Setting:
    """Which chains: of each family (by name) its level; `count` chains of up to `steps` steps; the seed."""

    levels: dict[str, int]
    steps: int = STEPS
    count: int = CHAINS
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """A model on the chains of one family. `single`, `forced` and, where it ran free, `free`, chain by chain."""

    family: str
    level: int
    steps: int
    single: list[Forced] = field(repr=False)
    forced: list[Forced] = field(repr=False)
    free: list[Free] | None = field(default=None, repr=False)

    @property
    def runs(self) -> Runs:
        """Steps until the first wrong one."""
        first = [f.first_wrong for f in self.forced]
        seen = [n or len(f.right) for n, f in zip(first, self.forced, strict=True)]
        return Runs(seen, [n is not None for n in first], of="chains")

    @property
    def survival(self) -> Survival:
        return survival.survive(self.runs, self.steps)

    @property
    def step_accuracy(self) -> Interval:
        """Share of steps that are right after right ones."""
        return percentile.ratio(*_counts(self.forced), np.arange(len(self.forced)), "chains")

    @property
    def disagreements(self) -> int:
        """Chains whose first wrong step was another when the model ran free: tokens may be cut in other ways there."""
        return sum(a.first_wrong != b.first_wrong for a, b in zip(self.forced, self.free or (), strict=False))


def score(model: Model, setting: Setting, free: bool = False, progress: Progress | None = None) -> list[Score]:
    """A model on every family of a setting."""
    stages = Stages(progress, len(setting.levels) * (2 + free))
    found = []
    for name, level in setting.levels.items():
        family = FAMILIES[name]
        prefix = family.prefix(level)
        chains = family.chains(level, setting.steps, setting.count, setting.seed)
        singles = family.chains(level, setting.steps, SINGLES * setting.count, setting.seed + 1)
        found.append(
            Score(
                name,
                level,
                setting.steps,
                read(model, prefix, singles, 1, stages.next(name)),
                read(model, prefix, chains, None, stages.next(name)),
                run(model, prefix, chains, stages.next(name)) if free else None,
            )
        )
    return found


def levels(
    reference: Model,
    names: Iterable[str] = FAMILIES,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Of each family the level at which the reference's half-life is nearest to half of the steps, so that a candidate
    can be seen to do worse, or better. Told from a few chains of another seed than those that are scored."""
    names = list(names)
    stages = Stages(progress, len(names))
    return {name: _level(reference, FAMILIES[name], steps, seed + 2, stages.next(name)) for name in names}


def _level(reference: Model, family: Family, steps: int, seed: int, progress: Progress) -> int:
    fits: list[float] = []
    for level in range(1, family.levels + 1):
        forced = read(reference, family.prefix(level), family.chains(level, TRIED_STEPS, TRIED, seed))
        right, all_steps = (float(sum(column)) for column in _counts(forced))
        wrong = (all_steps - right + 0.5) / (all_steps + 1)
        fits.append(abs(math.log(survival.half_life(wrong) / (steps / 2))))
        progress(level, family.levels, "")
        if wrong > 0.5:
            break
    return int(np.argmin(fits)) + 1


@dataclass(frozen=True)
class Comparison:
    """A candidate beside a reference on the same chains.

    `horizon_ratio`: half-life over half-life; below 1 the candidate does not get as far. `loss_change`: by how many
    nats a step's right answer is less likely. `excess`: of the candidate, ln p(n) / n - ln p(1) at n = `steps`;
    below 0, later steps fail more than the first would. `after_error`: chance of a wrong step, by its own premises,
    after a first one over that before; None where it did not run free.
    """

    family: str
    level: int
    steps: int
    candidate: Survival
    reference: Survival
    accuracy: Interval
    reference_accuracy: Interval
    horizon_ratio: Interval
    loss_change: Interval
    excess: Interval
    reference_excess: Interval
    after_error: Interval | None
    disagreements: int


def compare(candidate: Score, reference: Score) -> Comparison:
    """Both on the chains of one family, paired by chain."""
    chains = np.arange(len(candidate.forced))
    change = [(a.losses - b.losses).sum() for a, b in zip(candidate.forced, reference.forced, strict=True)]
    return Comparison(
        candidate.family,
        candidate.level,
        candidate.steps,
        candidate.survival,
        reference.survival,
        candidate.step_accuracy,
        reference.step_accuracy,
        survival.horizon_ratio(candidate.runs, reference.runs, candidate.steps),
        percentile.ratio(change, [len(f.losses) for f in candidate.forced], chains, "chains"),
        excess(candidate),
        excess(reference),
        after_error(candidate.free) if candidate.free is not None else None,
        candidate.disagreements,
    )


def overall(candidate: Sequence[Score], reference: Sequence[Score]) -> Interval:
    """The ratio of horizons over all families, every chain of which counts alike."""
    steps = max(score.steps for score in candidate)
    return survival.horizon_ratio(_pooled(candidate), _pooled(reference), steps)


def excess(score: Score) -> Interval:
    """ln p(n) / n - ln p(1), n being all steps: 0 where steps are alike and independent, below 0 where errors compound.
    Half a chain is added to those that succeed and half to those that fail, so that logarithms exist."""
    steps = score.steps
    wrong, exposed = score.runs.tables(steps)
    first = np.array([f.right[0] for f in (*score.single, *score.forced)], np.float64)
    w = resampling.weights(len(wrong))
    v = resampling.weights(len(first), seed=1)

    def of(d: Float64, r: Float64, right: Float64) -> Float64:
        whole = survival.kaplan_meier(d, r)[..., -1] * len(wrong)
        return np.log((whole + 0.5) / (len(wrong) + 1)) / steps - np.log((right + 0.5) / (len(first) + 1))

    drawn = of(resampling.resampled(w, wrong), resampling.resampled(w, exposed), resampling.resampled(v, first))
    return percentile.interval(of(wrong.sum(0), exposed.sum(0), first.sum()), drawn, len(wrong), "chains")


def after_error(chains: Sequence[Free]) -> Interval:
    """Chance of a wrong step, judged by its own premises, after a first wrong one, over the chance before; NaN where
    nothing was wrong or nothing came after."""
    table = np.zeros((len(chains), 4))  # steps up to the first wrong one, of them wrong; judged steps after it, wrong
    for row, chain in zip(table, chains, strict=True):
        first = chain.first_wrong or len(chain.right)
        later = [right for right in chain.right[first:] if right is not None]
        row[:] = first, chain.first_wrong is not None, len(later), later.count(False)

    def of(t: Float64) -> Float64:
        before, failed, after, again = np.moveaxis(t, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (again / after) / (failed / before)

    w = resampling.weights(len(table))
    return percentile.interval(of(table.sum(0)), of(resampling.resampled(w, table)), len(table), "chains")


def _counts(forced: Sequence[Forced]) -> tuple[list[int], list[int]]:
    """Right steps and all steps of every chain."""
    return [int(f.right.sum()) for f in forced], [len(f.right) for f in forced]


def _pooled(scores: Sequence[Score]) -> Runs:
    steps, wrong = (np.concatenate([getattr(s.runs, name) for s in scores]) for name in ("steps", "wrong"))
    return Runs(steps, wrong, of="chains")
