"""A candidate against its reference on the same chains: horizons, and whether errors compound.

If all steps were independent and like the first, n of them would succeed with p(1)^n; `excess` is how far the measured
logarithm lies from that, per step. After an error a chain continues from a wrong premise: `after_error` judges those
steps by their own premises, and so shows whether one error makes the next more likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.measure.chains.running import FreeRun
from bitwright.measure.chains.scoring import ChainScore
from bitwright.statistics import percentile, resampling, survival
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import Float64
from bitwright.statistics.survival import Runs, Survival


@dataclass(frozen=True)
class ChainComparison:
    """A candidate against a reference on the same chains.

    `horizon_ratio`: half-life over half-life; below 1 the candidate does not get as far. `loss_change`: by how many
    nats a step's right answer is less likely. `excess`: of the candidate, ln p(n) / n - ln p(1) at n = `steps`;
    below 0, later steps fail more than the first would. `after_error`: the chance of a wrong step (by its own premises)
    after a first error over the chance before; None if the candidate did not run free.
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


def compare_chains(candidate: ChainScore, reference: ChainScore) -> ChainComparison:
    """Compare scores on the chains of one family, paired by chain."""
    chains = np.arange(len(candidate.forced))
    change = [(a.losses - b.losses).sum() for a, b in zip(candidate.forced, reference.forced, strict=True)]
    return ChainComparison(
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


def overall_horizon_ratio(candidate: Sequence[ChainScore], reference: Sequence[ChainScore]) -> Interval:
    """The ratio of half-lives over all families, with equal weight for every chain."""
    steps = max(score.steps for score in candidate)
    return survival.horizon_ratio(_pooled(candidate), _pooled(reference), steps)


def excess(score: ChainScore) -> Interval:
    """ln p(n) / n - ln p(1), n being all steps: 0 if steps are alike and independent, below 0 if errors compound.
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


def after_error(chains: Sequence[FreeRun]) -> Interval:
    """Chance of a wrong step, judged by its own premises, after a first wrong one, over the chance before; NaN if
    nothing was wrong or nothing came after."""
    table = np.zeros((len(chains), 4))  # steps up to the first wrong one, of them wrong; judged steps after it, wrong
    for row, chain in zip(table, chains, strict=True):
        first = chain.first_wrong or len(chain.right)
        later = [right for right in chain.right[first:] if right is not None]
        row[:] = first, chain.first_wrong is not None, len(later), later.count(False)

    def of(t: Float64) -> Float64:
        before, failed, after, again = np.moveaxis(t, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: Float64 = (again / after) / (failed / before)
            return ratio

    w = resampling.weights(len(table))
    return percentile.interval(of(table.sum(0)), of(resampling.resampled(w, table)), len(table), "chains")


def _pooled(scores: Sequence[ChainScore]) -> Runs:
    steps, wrong = (np.concatenate([getattr(s.runs, name) for s in scores]) for name in ("steps", "wrong"))
    return Runs(steps, wrong, of="chains")
