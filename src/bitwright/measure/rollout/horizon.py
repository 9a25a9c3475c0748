"""What paths and their readings say: where they part, how the divergence grows, when two runs can be told apart.

Arrays (paths, steps) hold NaN after a path's end. The definitions: first divergence time and share of tokens that
differ are arXiv 2311.01544's; a sequence's divergence is the sum of its tokens' (chain rule), exact on paths sampled
from the reference at temperature 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.rollout.paths import Path, Reading
from bitwright.statistics import resampling, survival
from bitwright.statistics.resampling import Estimate, Float64
from bitwright.statistics.survival import Runs, Survival

TELLABLE = math.log(2)  # nats: from here on one observed text is, on average, evidence of two to one
NEAR_TIE = 0.99  # of the floor's shifts of a lead are smaller than what is called a near tie
LONGEST_CYCLE, REPEATS, LOOP = 64, 3, 24  # a loop: a cycle of so many tokens at most, so often, over so many tokens


@dataclass(frozen=True)
class FirstDivergence:
    """When a candidate first writes another token than the reference.

    `near_ties` of the divergences are at steps where the reference was ahead of the next token by less than `tie`, as
    the floor shifts it now and then; in `without_near_ties` they end what is seen of a path and are no divergence.
    `differing`: share of all tokens that the candidate would have written otherwise.
    """

    survival: Survival
    without_near_ties: Survival
    near_ties: int
    tie: float
    differing: Estimate


def first_divergence(readings: Sequence[Reading], floor: Sequence[Reading], steps: int) -> FirstDivergence:
    """`floor`: the same paths read by the reference as it would compute them otherwise."""
    tie = near_tie(floor)
    runs, clusters = runs_of(readings), clusters_of([r.path for r in readings])
    leads = np.array([r.path.leads[seen - 1] for r, seen in zip(readings, runs.steps, strict=True)])
    near = runs.wrong & (leads < tie)
    differing = [float((r.chosen != r.path.tokens).sum()) for r in readings]
    return FirstDivergence(
        survival.survive(runs, steps, runs_of(floor)),
        survival.survive(Runs(np.where(near, runs.steps - 1, runs.steps), runs.wrong & ~near, clusters), steps),
        int(near.sum()),
        tie,
        resampling.ratio(differing, [len(r.path) for r in readings], clusters),
    )


def near_tie(floor: Sequence[Reading]) -> float:
    """The lead that the floor takes away now and then: 1 step in 100 is shifted by more."""
    return float(np.quantile(np.concatenate([np.abs(r.leads - r.path.leads) for r in floor]), NEAR_TIE))


def runs_of(readings: Sequence[Reading]) -> Runs:
    """Until the first divergence; a path that ends without one is censored there."""
    first = [r.first_divergence for r in readings]
    seen = [f or len(r.path) for f, r in zip(first, readings, strict=True)]
    return Runs(seen, [f is not None for f in first], clusters_of([r.path for r in readings]))


def clusters_of(paths: Sequence[Path]) -> NDArray[np.int64]:
    """Documents of the paths, numbered from 0."""
    return np.unique([path.prompt.document for path in paths], return_inverse=True)[1]


def padded(rows: Sequence[Float64], steps: int) -> Float64:
    """Rows of up to `steps` values as one array (rows, steps), with NaN behind each."""
    array = np.full((len(rows), steps), math.nan)
    for own, row in zip(array, rows, strict=True):
        own[: len(row)] = row
    return array


@dataclass(frozen=True)
class Growth:
    """Of steps `first` to `last`: mean divergence in nats along the reference's paths and along the candidate's own,
    and `amplification`, the second over the first: above 1, errors feed on themselves. `floor`: the divergence of the
    reference from itself along its paths."""

    first: int
    last: int
    floor: Estimate
    reference_path: Estimate
    own_path: Estimate
    amplification: Estimate


def growth(along: Float64, own: Float64, floor: Float64, clusters: NDArray[np.int64]) -> list[Growth]:
    """Divergences (paths, steps) along the reference's paths, the candidate's own from the same prompts, and of the
    floor; by steps, and of all."""
    found = []
    for first, last in [*survival.bins(along.shape[1]), (1, along.shape[1])]:
        along_part, own_part, floor_part = (x[:, first - 1 : last] for x in (along, own, floor))
        least = ratio_of_means(floor_part, floor_part, clusters)[0]
        found.append(Growth(first, last, least, *ratio_of_means(along_part, own_part, clusters)))
    return found


@dataclass(frozen=True)
class LocalShare:
    """Of steps `first` to `last`: mean divergence in nats with the candidate's own memory of the text (`own_history`),
    with the reference's (`reference_history`), and the second over the first: the part that is made on the spot."""

    first: int
    last: int
    own_history: Estimate
    reference_history: Estimate
    local_share: Estimate


def local_shares(own: Float64, reference: Float64, clusters: NDArray[np.int64]) -> list[LocalShare]:
    """Divergences (paths, steps) along the same paths, with either memory; by steps, and of all."""
    steps = own.shape[1]
    return [
        LocalShare(first, last, *ratio_of_means(own[:, first - 1 : last], reference[:, first - 1 : last], clusters))
        for first, last in [*survival.bins(steps), (1, steps)]
    ]


def ratio_of_means(below: Float64, above: Float64, clusters: NDArray[np.int64]) -> tuple[Estimate, Estimate, Estimate]:
    """Means of all values (paths, ...) that are not NaN, and the second over the first, drawn together."""
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
            resampling.estimate(means[0], drawn[0], len(w[0])),
            resampling.estimate(means[1], drawn[1], len(w[0])),
            resampling.estimate(means[1] / means[0], drawn[1] / drawn[0], len(w[0])),
        )


@dataclass(frozen=True)
class SequenceDivergence:
    """`total` (steps,): KL of whole texts of h tokens in nats, h from 1. `tellable`: the first h at which it reaches
    ln 2, infinite where it does not. Nobody tells texts of h tokens apart better than by `advantage` (steps,): a bound
    on the total variation (Bretagnolle and Huber)."""

    total: Float64 = field(repr=False)
    low: Float64 = field(repr=False)
    high: Float64 = field(repr=False)
    tellable: Estimate

    @property
    def advantage(self) -> Float64:
        return np.sqrt(-np.expm1(-np.maximum(self.total, 0)))


def sequence_divergence(divergences: Float64, clusters: NDArray[np.int64]) -> SequenceDivergence:
    """Divergences (paths, steps) along paths sampled from the reference; a path that has ended adds nothing."""
    sums = np.cumsum(resampling.total(divergences, clusters), 1)
    sizes = np.bincount(clusters).astype(np.float64)
    w = resampling.weights(len(sums))
    total, drawn = sums.sum(0) / sizes.sum(), resampling.resampled(w, sums) / resampling.resampled(w, sizes)[:, None]

    def tellable(curve: Float64) -> Float64:
        there = curve >= TELLABLE
        return np.where(there.any(-1), there.argmax(-1) + 1.0, math.inf)

    low, high = resampling.bounds(drawn, len(sums))
    return SequenceDivergence(total, low, high, resampling.estimate(tellable(total), tellable(drawn), len(sums)))


@dataclass(frozen=True)
class Endings:
    """How texts end, the candidate's beside the reference's: `length_ratio` of mean lengths; shares of texts that ran
    into a loop; shares that did not end themselves within the steps, among prompts where the reference did."""

    length_ratio: Estimate
    loops: Estimate
    reference_loops: Estimate
    missing_ends: Estimate
    ended: int


def endings(own: Sequence[Path], reference: Sequence[Path]) -> Endings:
    """Paths of both from the same prompts."""
    clusters = clusters_of(reference)
    ended = np.array([path.ended for path in reference])
    missing = ended & ~np.array([path.ended for path in own])
    loops, reference_loops = ([loop_start(p.tokens) is not None for p in paths] for paths in (own, reference))
    return Endings(
        resampling.ratio([len(p) for p in own], [len(p) for p in reference], clusters),
        resampling.mean(loops, clusters),
        resampling.mean(reference_loops, clusters),
        resampling.ratio(missing, ended, clusters),
        int(ended.sum()),
    )


def loop_start(tokens: NDArray[np.int32]) -> int | None:
    """Where the loop begins that a text (steps,) is in at its end, or None."""
    n = len(tokens)
    for period in range(1, min(LONGEST_CYCLE, n // REPEATS) + 1):
        differs = np.flatnonzero(tokens[period:] != tokens[:-period])
        start = int(differs[-1]) + 1 if len(differs) else 0
        if n - start >= max(REPEATS * period, LOOP):
            return start
    return None
