"""Results from readings: the first divergence, the growth of KL divergence, when two models can be told apart.

Arrays (rollouts, steps) hold NaN after a rollout's end. First divergence and the share of tokens that differ are
defined as in arXiv 2311.01544. The KL divergence of a sequence is the sum of its tokens' (chain rule), which is exact
on rollouts sampled from the reference at temperature 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import Float64, Rollout
from bitwright.statistics import percentile, resampling, survival
from bitwright.statistics.interval import Interval
from bitwright.statistics.survival import Runs, Survival

TELLABLE = math.log(2)  # nats: from here on, one text is evidence of two to one on average
NEAR_TIE = 0.99  # quantile of the noise floor's shifts of a lead, below which a lead is a near tie


@dataclass(frozen=True)
class FirstDivergence:
    """When a candidate first writes a token that differs from the reference's.

    `near_ties` counts divergences at steps where the reference's lead was below `tie`, which the noise floor alone can
    overturn; `without_near_ties` censors the rollout there instead of counting a divergence. `differing`: share of all
    tokens for which the candidate would have written another.
    """

    survival: Survival
    without_near_ties: Survival
    near_ties: int
    tie: float
    differing: Interval


def first_divergence(
    readings: Sequence[Reading], floor: Sequence[Reading], steps: int, of: str = "documents"
) -> FirstDivergence:
    """`floor`: the same rollouts read by the reference in another tier; `of`: what clusters are called."""
    tie = near_tie(floor)
    runs, clusters = runs_of(readings, of), clusters_of([r.rollout for r in readings])
    leads = np.array([r.rollout.leads[seen - 1] for r, seen in zip(readings, runs.steps, strict=True)])
    near = runs.wrong & (leads < tie)
    differing = [float((r.chosen != r.rollout.tokens).sum()) for r in readings]
    return FirstDivergence(
        survival.survive(runs, steps, runs_of(floor, of)),
        survival.survive(Runs(np.where(near, runs.steps - 1, runs.steps), runs.wrong & ~near, clusters, of), steps),
        int(near.sum()),
        tie,
        percentile.ratio(differing, [len(r.rollout) for r in readings], clusters, of),
    )


def near_tie(floor: Sequence[Reading]) -> float:
    """The 99th percentile of how far the noise floor shifts a lead."""
    return float(np.quantile(np.concatenate([np.abs(r.leads - r.rollout.leads) for r in floor]), NEAR_TIE))


def runs_of(readings: Sequence[Reading], of: str = "documents") -> Runs:
    """Runs up to the first divergence; a rollout that ends without one is censored there."""
    first = [r.first_divergence for r in readings]
    seen = [f or len(r.rollout) for f, r in zip(first, readings, strict=True)]
    return Runs(seen, [f is not None for f in first], clusters_of([r.rollout for r in readings]), of)


def clusters_of(rollouts: Sequence[Rollout]) -> NDArray[np.int64]:
    """Documents of the rollouts, numbered from 0."""
    return np.unique([rollout.prompt.document for rollout in rollouts], return_inverse=True)[1]


def padded(rows: Sequence[Float64], steps: int) -> Float64:
    """Rows of up to `steps` values as one array (rows, steps), padded with NaN."""
    array = np.full((len(rows), steps), math.nan)
    for own, row in zip(array, rows, strict=True):
        own[: len(row)] = row
    return array


def divergences_of(readings: Sequence[Reading], steps: int) -> Float64:
    """The divergences (rollouts, steps) of the readings that have them."""
    return padded([r.divergences for r in readings if r.divergences is not None], steps)


@dataclass(frozen=True)
class Growth:
    """Over steps `first` to `last`: mean divergence in nats along the reference's rollouts and along the candidate's
    own, and `amplification`, the second over the first: above 1, errors feed on themselves. `floor`: the reference's
    divergence from itself along its rollouts."""

    first: int
    last: int
    floor: Interval
    reference_path: Interval
    own_path: Interval
    amplification: Interval


def growth(along: Float64, own: Float64, floor: Float64, clusters: NDArray[np.int64]) -> list[Growth]:
    """Divergences (rollouts, steps) along the reference's rollouts, along the candidate's own from the same prompts,
    and of the noise floor: by ranges of steps, and over all steps."""
    found = []
    for first, last in [*survival.bins(along.shape[1]), (1, along.shape[1])]:
        along_part, own_part, floor_part = (x[:, first - 1 : last] for x in (along, own, floor))
        least = ratio_of_means(floor_part, floor_part, clusters)[0]
        found.append(Growth(first, last, least, *ratio_of_means(along_part, own_part, clusters)))
    return found


@dataclass(frozen=True)
class LocalShare:
    """Over steps `first` to `last`: mean divergence in nats with the candidate's own cache (`own_history`), with the
    reference's (`reference_history`), and the second over the first: the share made by the step itself."""

    first: int
    last: int
    own_history: Interval
    reference_history: Interval
    local_share: Interval


def local_shares(own: Float64, reference: Float64, clusters: NDArray[np.int64]) -> list[LocalShare]:
    """Divergences (rollouts, steps) along the same rollouts with either cache: by ranges of steps, and over all."""
    steps = own.shape[1]
    return [
        LocalShare(first, last, *ratio_of_means(own[:, first - 1 : last], reference[:, first - 1 : last], clusters))
        for first, last in [*survival.bins(steps), (1, steps)]
    ]


def ratio_of_means(below: Float64, above: Float64, clusters: NDArray[np.int64]) -> tuple[Interval, Interval, Interval]:
    """Means of all values (rollouts, ...) that are not NaN, and the second over the first, from the same draws."""
    w = resampling.weights(int(clusters.max()) + 1)
    means, drawn = [], []
    for values in (below, above):
        axes = tuple(range(1, values.ndim))
        sums = resampling.total(np.nansum(values, axes), clusters)
        counts = resampling.total((~np.isnan(values)).sum(axes), clusters)
        with np.errstate(divide="ignore", invalid="ignore"):
            means.append(sums.sum() / counts.sum())
            drawn.append(resampling.resampled(w, sums) / resampling.resampled(w, counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            percentile.interval(means[0], drawn[0], len(w[0])),
            percentile.interval(means[1], drawn[1], len(w[0])),
            percentile.interval(means[1] / means[0], drawn[1] / drawn[0], len(w[0])),
        )


@dataclass(frozen=True)
class SequenceDivergence:
    """`total` (steps,): KL divergence in nats of texts of h tokens, h from 1; `band` (2, steps): its interval, if any.

    `tellable`: the first h at which the total reaches ln 2, infinite if it never does. `advantage` (steps,) bounds
    how well anyone can tell which model wrote a text of h tokens: total variation, by the Bretagnolle-Huber inequality.
    """

    total: Float64 = field(repr=False)
    band: Float64 | None = field(repr=False)
    tellable: Interval

    @property
    def advantage(self) -> Float64:
        """Bretagnolle-Huber bound on total variation, sqrt(1 - exp(-KL)), by step."""
        return np.sqrt(-np.expm1(-np.maximum(self.total, 0)))


def sequence_divergence(divergences: Float64, clusters: NDArray[np.int64]) -> SequenceDivergence:
    """The sequence divergence from divergences (rollouts, steps) along the reference's samples; ended ones add
    nothing."""
    sums = np.cumsum(resampling.total(divergences, clusters), 1)
    sizes = np.bincount(clusters).astype(np.float64)
    w = resampling.weights(len(sums))
    total, drawn = sums.sum(0) / sizes.sum(), resampling.resampled(w, sums) / resampling.resampled(w, sizes)[:, None]

    def tellable(curve: Float64) -> Float64:
        there = curve >= TELLABLE
        return np.where(there.any(-1), there.argmax(-1) + 1.0, math.inf)

    reached = percentile.interval(tellable(total), tellable(drawn), len(sums))
    return SequenceDivergence(total, percentile.band(drawn, len(sums)), reached)
