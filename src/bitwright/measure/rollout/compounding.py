"""How errors compound over many steps: everything in this package, measured on a candidate against a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bitwright.engine import Engine
from bitwright.errors import UsageError
from bitwright.measure.rollout import history, horizon, reading, writing
from bitwright.measure.rollout.baseline import Baseline
from bitwright.measure.rollout.free_running import FreeRunning, measure_free_running
from bitwright.measure.rollout.horizon import (
    FirstDivergence,
    LocalShare,
    SequenceDivergence,
    clusters_of,
    divergences_of,
    padded,
)
from bitwright.measure.rollout.writing import Float64
from bitwright.progress import Stages

if TYPE_CHECKING:
    from bitwright.progress import Progress


@dataclass(frozen=True)
class Compounding:
    """Measures over texts of up to `steps` tokens from `prompts` prompts in `clusters` documents.

    `free` and `local` are None if not requested; `local` also if the caches are not alike.
    """

    steps: int
    prompts: int
    clusters: int
    seed: int
    floor: str
    first_divergence: FirstDivergence
    sampled_first_divergence: FirstDivergence
    sequence: SequenceDivergence
    free: FreeRunning | None
    local: list[LocalShare] | None


def measure_compounding(
    base: Baseline, candidate: Engine, free: bool = True, local: bool = True, progress: Progress | None = None
) -> Compounding:
    """Measure a candidate. `free`: let it write too; `local`: also run it on the reference's keys and values.

    UsageError if it has another vocabulary or the texts do not fit its context.
    """
    _check(base, candidate)
    candidate = writing.fitted(candidate, base.engine.context)
    local = local and history.alike(base.engine, candidate)
    stages = Stages(progress, 2 + 3 * free + local)
    greedy = reading.read_all(candidate, base.greedy.rollouts, stages.next("reading"))
    sampled = reading.read_all(candidate, base.sampled.rollouts, stages.next("reading samples"))
    clusters = clusters_of(base.sampled.rollouts)
    along = divergences_of(sampled, base.steps)
    return Compounding(
        steps=base.steps,
        prompts=len(base.prompts),
        clusters=len(np.unique(clusters)),
        seed=base.seed,
        floor=base.floor,
        first_divergence=horizon.first_divergence(greedy, base.greedy.floor, base.steps),
        sampled_first_divergence=horizon.first_divergence(sampled, base.sampled.floor, base.steps),
        sequence=horizon.sequence_divergence(along, clusters),
        free=measure_free_running(base, candidate, greedy, along, stages) if free else None,
        local=_local(base, candidate, along, stages.next("on the reference's memory")) if local else None,
    )


def _check(base: Baseline, candidate: Engine) -> None:
    own, expected = candidate.config.vocabulary, base.engine.config.vocabulary
    if own != expected:
        raise UsageError(
            f"{candidate.path.name} has a vocabulary of {own}, the reference one of {expected}: only models that share "
            "a tokenizer can read each other's texts token by token"
        )


def _local(base: Baseline, candidate: Engine, along: Float64, progress: Progress) -> list[LocalShare]:
    written = base.sampled.rollouts
    rows = history.divergences_on_reference_history(base.engine, candidate, written, progress)
    return horizon.local_shares(along, padded(rows, base.steps), clusters_of(written))
