"""How far a model gets: success against the number of steps.

The first n steps of a chain are a chain of n steps, so the first wrong step gives success at every n at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.chains.chain import Family
from bitwright.measure.chains.families import FAMILIES
from bitwright.measure.chains.running import FreeRun, TeacherForced, run_free, teacher_force
from bitwright.progress import Stages
from bitwright.statistics import percentile, survival
from bitwright.statistics.interval import Interval
from bitwright.statistics.survival import Runs, Survival

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.progress import Progress

STEPS, CHAINS, SINGLES = 16, 24, 1  # SINGLES: chains of one step per chain, for p(1)
TRIED, TRIED_STEPS = 4, 8  # chains and steps for trying a level


@dataclass(frozen=True)
class ChainSuite:
    """Which chains: of each family (by name) its level; `count` chains of up to `steps` steps; the seed."""

    levels: dict[str, int]
    steps: int = STEPS
    count: int = CHAINS
    seed: int = 0


@dataclass(frozen=True)
class ChainScore:
    """A model on the chains of one family. `single`, `forced` and, if it ran free, `free`, chain by chain."""

    family: str
    level: int
    steps: int
    single: list[TeacherForced] = field(repr=False)
    forced: list[TeacherForced] = field(repr=False)
    free: list[FreeRun] | None = field(default=None, repr=False)

    @property
    def runs(self) -> Runs:
        """Steps until the first wrong one."""
        first = [f.first_wrong for f in self.forced]
        seen = [n or len(f.right) for n, f in zip(first, self.forced, strict=True)]
        return Runs(seen, [n is not None for n in first], of="chains")

    @property
    def survival(self) -> Survival:
        """Share of chains without a wrong step, by step."""
        return survival.survive(self.runs, self.steps)

    @property
    def step_accuracy(self) -> Interval:
        """Share of right steps after right answers."""
        return percentile.ratio(*_counts(self.forced), np.arange(len(self.forced)), "chains")

    @property
    def disagreements(self) -> int:
        """Chains whose first wrong step differs when run free, because text may be tokenized differently."""
        return sum(a.first_wrong != b.first_wrong for a, b in zip(self.forced, self.free or (), strict=False))


def score_chains(
    engine: Engine, suite: ChainSuite, free: bool = False, progress: Progress | None = None
) -> list[ChainScore]:
    """Run a model on every family of a suite. `free`: also on its own answers."""
    stages = Stages(progress, len(suite.levels) * (2 + free))
    found = []
    for name, level in suite.levels.items():
        family = FAMILIES[name]
        prefix = family.prefix(level)
        chains = family.chains(level, suite.steps, suite.count, suite.seed)
        singles = family.chains(level, suite.steps, SINGLES * suite.count, suite.seed + 1)
        found.append(
            ChainScore(
                name,
                level,
                suite.steps,
                teacher_force(engine, prefix, singles, 1, stages.next(name)),
                teacher_force(engine, prefix, chains, None, stages.next(name)),
                run_free(engine, prefix, chains, stages.next(name)) if free else None,
            )
        )
    return found


def fitting_levels(
    reference: Engine,
    names: Iterable[str] = FAMILIES,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, int]:
    """For each family the level at which the reference's half-life is nearest to half of the steps, so that a candidate
    can do visibly worse or better. Estimated on a few chains from another seed than the scored ones."""
    names = list(names)
    stages = Stages(progress, len(names))
    return {name: _level(reference, FAMILIES[name], steps, seed + 2, stages.next(name)) for name in names}


def _level(reference: Engine, family: Family, steps: int, seed: int, progress: Progress) -> int:
    fits: list[float] = []
    for level in range(1, family.levels + 1):
        forced = teacher_force(reference, family.prefix(level), family.chains(level, TRIED_STEPS, TRIED, seed))
        right, all_steps = (float(sum(column)) for column in _counts(forced))
        wrong = (all_steps - right + 0.5) / (all_steps + 1)
        fits.append(abs(math.log(survival.half_life(wrong) / (steps / 2))))
        progress(level, family.levels, "")
        if wrong > 0.5:
            break
    return int(np.argmin(fits)) + 1


def _counts(forced: Sequence[TeacherForced]) -> tuple[list[int], list[int]]:
    """Right steps and all steps of every chain."""
    return [int(f.right.sum()) for f in forced], [len(f.right) for f in forced]
