"""Survival over steps: when runs first go wrong, from the step at which each was first wrong or last seen.

A step may be a token that differs from the reference's, or a step of a chain. Runs that end before anything goes wrong
are censored, not counted as survivors for ever (Kaplan and Meier, JASA 53 (1958)). A hazard is the chance of going
wrong at a step if nothing was wrong before. If the reference differs even from itself, its own hazard (the floor) is
removed: a run survives while neither has struck, so S(h) = S_damage(h) * (1 - floor)^h.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import UsageError
from bitwright.statistics import percentile, resampling
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import Float64


class Runs:
    """n runs: `steps` (n,), counted from 1, is when each was first wrong or, if not `wrong` (n,), last seen.

    `clusters` (n,): which runs belong together, by default none; `of` says what a cluster is. A run seen for 0 steps is
    allowed and has no effect. UsageError if there are no runs or a step is below 0.
    """

    def __init__(
        self, steps: ArrayLike, wrong: ArrayLike, clusters: ArrayLike | None = None, of: str = "documents"
    ) -> None:
        self.steps, self.wrong = np.asarray(steps, np.int64), np.asarray(wrong, bool)
        if not self.steps.size or self.steps.shape != self.wrong.shape or self.steps.min() < 0:
            raise UsageError(f"expected runs of 0 or more steps, each wrong or not, got {self.steps} and {self.wrong}")
        own = np.arange(len(self.steps)) if clusters is None else np.asarray(clusters)
        self.clusters: NDArray[np.int64] = np.unique(own, return_inverse=True)[1]
        self.of = of

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def events(self) -> int:
        """How many runs went wrong."""
        return int(self.wrong.sum())

    def tables(self, horizon: int) -> tuple[Float64, Float64]:
        """By cluster and step, how many runs went wrong and how many were at risk: (clusters, horizon) each."""
        step = np.arange(1, horizon + 1)
        exposed = self.steps[:, None] >= step
        wrong = (self.steps[:, None] == step) & self.wrong[:, None]
        return resampling.total(wrong, self.clusters), resampling.total(exposed, self.clusters)


@dataclass(frozen=True)
class Hazard:
    """The chance per step of going wrong in steps `first` to `last`; NaN if no run got that far."""

    first: int
    last: int
    rate: Interval


@dataclass(frozen=True)
class Survival:
    """`share` (horizon + 1,): of runs with nothing wrong in the first h steps, h from 0; `band` (2, horizon + 1): its
    intervals, None if there are too few clusters.

    `median`: the step by which half of the runs are wrong. `restricted_mean`: steps before the first wrong one; a run
    that never goes wrong counts `horizon`. `rate`: wrong runs per step at risk; `half_life`: the steps after which, at
    that rate, half of the runs are wrong. `above_floor`: the same above the floor, if there is one.
    """

    horizon: int
    runs: int
    events: int
    share: Float64 = field(repr=False)
    band: Float64 | None = field(repr=False)
    hazards: list[Hazard] = field(repr=False)
    median: Interval
    restricted_mean: Interval
    rate: Interval
    half_life: Interval
    above_floor: AboveFloor | None = None

    @property
    def censored(self) -> int:
        """Runs in which nothing went wrong while they were seen."""
        return self.runs - self.events

    def curve(self) -> list[tuple[int, float]]:
        """(step, share) where the share changes, and at both ends."""
        changes = [0, *(np.flatnonzero(np.diff(self.share)) + 1).tolist(), self.horizon]
        return [(step, float(self.share[step])) for step in dict.fromkeys(changes)]


@dataclass(frozen=True)
class AboveFloor:
    """Survival with the reference's own hazard, `floor`, removed; `rate` is the runs' rate minus the floor's."""

    floor: Interval
    rate: Interval
    share: Float64 = field(repr=False)
    median: Interval

    @property
    def distinguishable(self) -> bool:
        """Whether the runs' rate is above the floor's beyond chance."""
        return self.rate.above(0)

    @property
    def doubt(self) -> str:
        """Why the runs' rate is not known to be above the floor's; empty if it is."""
        if self.distinguishable:
            return ""
        if self.rate.ends is None:
            return "too little text to tell from the reference's own noise"
        return "not distinguishable from the reference's own noise"


def survive(
    runs: Runs, horizon: int, floor: Runs | None = None, draws: int = resampling.DRAWS, seed: int = 0
) -> Survival:
    """The survival of runs over the first `horizon` steps. `floor`: runs of the reference against itself, from the same
    clusters, which are drawn together."""
    if horizon < 1:
        raise UsageError(f"expected a horizon of at least one step, got {horizon}")
    wrong, exposed = runs.tables(horizon)
    n = len(wrong)
    w = resampling.weights(n, draws, seed)
    share = kaplan_meier(wrong.sum(0), exposed.sum(0))
    drawn_wrong, drawn_exposed = resampling.resampled(w, wrong), resampling.resampled(w, exposed)
    drawn = kaplan_meier(drawn_wrong, drawn_exposed)
    rate, drawn_rate = _rate(wrong.sum(0), exposed.sum(0)), _rate(drawn_wrong, drawn_exposed)
    return Survival(
        horizon=horizon,
        runs=len(runs),
        events=int(wrong.sum()),
        share=share,
        band=percentile.band(drawn, n),
        hazards=_hazards((wrong.sum(0), exposed.sum(0)), (drawn_wrong, drawn_exposed), n, runs.of),
        median=percentile.interval(median(share), median(drawn), n, runs.of),
        restricted_mean=percentile.interval(share[:-1].sum(), drawn[:, :-1].sum(1), n, runs.of),
        rate=percentile.interval(rate, drawn_rate, n, runs.of),
        half_life=percentile.interval(half_life(rate), half_life(drawn_rate), n, runs.of),
        above_floor=None if floor is None else _above(runs, floor, horizon, w, (share, drawn), (rate, drawn_rate)),
    )


def kaplan_meier(wrong: Float64, exposed: Float64) -> Float64:
    """Survival (..., horizon + 1) from how many runs went wrong and how many were at risk, by step (..., horizon)."""
    hazard = np.divide(wrong, exposed, out=np.zeros_like(wrong), where=exposed > 0)
    start = np.ones((*wrong.shape[:-1], 1))
    return np.concatenate([start, np.cumprod(1 - hazard, axis=-1)], axis=-1)


def median(share: Float64) -> NDArray[np.float64]:
    """The first step at which survival (..., horizon + 1) is a half or less; infinite if it never is."""
    fallen = share <= 0.5 + 1e-12
    return np.where(fallen.any(-1), fallen.argmax(-1).astype(np.float64), math.inf)


def half_life(rate: ArrayLike) -> NDArray[np.float64]:
    """Steps after which half of the runs are wrong, at this chance per step."""
    with np.errstate(divide="ignore"):
        return math.log(0.5) / np.log1p(-np.asarray(rate, np.float64))


def bins(horizon: int) -> list[tuple[int, int]]:
    """Steps 1, 2, 3 to 4, 5 to 8, ... each as long as all before it."""
    edges = [0, *(1 << k for k in range(horizon.bit_length()) if 1 << k < horizon), horizon]
    return [(a + 1, b) for a, b in itertools.pairwise(edges)]


def _rate(wrong: Float64, exposed: Float64) -> NDArray[np.float64]:
    below = exposed.sum(-1)
    rate: Float64 = np.full(np.shape(below), math.nan)
    np.divide(wrong.sum(-1), below, out=rate, where=below > 0)
    return rate


def _hazards(tables: tuple[Float64, Float64], drawn: tuple[Float64, Float64], clusters: int, of: str) -> list[Hazard]:
    found = []
    for first, last in bins(len(tables[0])):
        own, drawn_rate = (_rate(*(t[..., first - 1 : last] for t in pair)) for pair in (tables, drawn))
        found.append(Hazard(first, last, percentile.interval(own, drawn_rate, clusters, of)))
    return found


def _above(
    runs: Runs,
    floor: Runs,
    horizon: int,
    w: Float64,
    share: tuple[Float64, Float64],
    rate: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> AboveFloor:
    """Survival with the floor removed; pairs are (of all runs, of every draw)."""
    if not np.array_equal(runs.clusters, floor.clusters):
        raise UsageError("the floor needs the runs of the same documents, in the same order")
    d, r = floor.tables(horizon)
    n = len(d)
    own, drawn = _rate(d.sum(0), r.sum(0)), _rate(resampling.resampled(w, d), resampling.resampled(w, r))
    lifted, lifted_drawn = _lifted(share[0], own), _lifted(share[1], drawn[:, None])
    return AboveFloor(
        floor=percentile.interval(own, drawn, n, runs.of),
        rate=percentile.interval(rate[0] - own, rate[1] - drawn, n, runs.of),
        share=lifted,
        median=percentile.interval(median(lifted), median(lifted_drawn), n, runs.of),
    )


def _lifted(share: Float64, floor: NDArray[np.float64]) -> Float64:
    """Survival (..., horizon + 1) divided by that of a floor with this chance per step, at most 1."""
    whole = (1 - floor) ** np.arange(share.shape[-1])
    return np.minimum(np.divide(share, whole, out=np.ones_like(share), where=whole > 0), 1)


def horizon_ratio(runs: Runs, reference: Runs, horizon: int, draws: int = resampling.DRAWS, seed: int = 0) -> Interval:
    """The half-life of `runs` over that of `reference`'s, from the same clusters: below 1, `runs` go wrong sooner."""
    (a, b), (c, d) = runs.tables(horizon), reference.tables(horizon)
    if len(a) != len(c):
        raise UsageError(f"a ratio of horizons needs the same documents for both, got {len(a)} and {len(c)}")
    w = resampling.weights(len(a), draws, seed)

    def of(*tables: Float64) -> NDArray[np.float64]:
        own, other = _rate(*tables[:2]), _rate(*tables[2:])
        with np.errstate(divide="ignore", invalid="ignore"):
            return half_life(own) / half_life(other)

    tables = (a, b, c, d)
    drawn = of(*(resampling.resampled(w, t) for t in tables))
    return percentile.interval(of(*(t.sum(0) for t in tables)), drawn, len(a), runs.of)
