"""A candidate on the suite: how long it would have written what the original wrote, and how far its predictions are off
at the very same places.

One pass over the original's text per prompt. Up to the first token at which the candidate would have written another,
it has read exactly what it would have written, so the pass finds where free running parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitwright.engine import Engine
from bitwright.errors import UsageError
from bitwright.measure.horizon.original import STEPS, Original
from bitwright.measure.rollout import horizon, reading, writing
from bitwright.measure.rollout.horizon import FirstDivergence
from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import Float64
from bitwright.progress import Progress
from bitwright.statistics import percentile, shares, studentized
from bitwright.statistics.interval import Interval

OF = "prompts"  # what intervals resample
WHOLE = "all"  # all kinds together
MARGINS = (0.01, 0.1, 0.5, 1.0, 2.0, 4.0)  # nats


@dataclass(frozen=True)
class Closeness:
    """How close a reading of the original's texts is to them: the candidate's, or the original's own under a floor.

    `identical`: share of prompts whose STEPS tokens are all the same. `aligned`: tokens before the first divergence, of
    STEPS (mean). `parted_at`: the mean step of the first divergence of the prompts that have one. `divergence` in nats
    and `same_top1` are means over all steps of all prompts, whether texts parted before or not.
    """

    prompts: int
    identical: Interval
    aligned: Interval
    parted_at: Interval
    divergence: Interval
    same_top1: Interval


@dataclass(frozen=True)
class Margins:
    """How sure the models were where texts part, in nats between their first and second choice.

    `original`, `candidate`: medians at the partings (NaN without any); `everywhere`: the original's median over all
    steps. `below`: for each of MARGINS, the share of partings at which the original's lead was smaller, and of all
    steps: a coin toss has a small lead, a loss a large one. `ties`: partings where the noise floor alone could have
    turned the original's choice.
    """

    original: float
    candidate: float
    everywhere: float
    below: list[tuple[float, float, float]]
    ties: int


@dataclass(frozen=True)
class Part:
    """The results for one kind of prompts, or for all: the candidate, the floors by description, the curves of
    survival, and of the choices that differ (`flips`, a share of all steps) those the noise floor cannot explain
    (`sure_flips`)."""

    candidate: Closeness
    floors: dict[str, Closeness]
    first: FirstDivergence
    margins: Margins
    flips: Interval
    sure_flips: Interval


@dataclass(frozen=True)
class Score:
    """A candidate on the suite, whole and by kind."""

    original: Original
    readings: list[Reading] = field(repr=False)
    parts: dict[str, Part]

    @property
    def whole(self) -> Part:
        """All kinds together."""
        return self.parts[WHOLE]


def score(original: Original, candidate: Engine, progress: Progress | None = None) -> Score:
    """Read the original's texts with a candidate. UsageError if it has another vocabulary or a shorter context."""
    own, expected = candidate.config.vocabulary, original.engine.config.vocabulary
    if own != expected:
        raise UsageError(
            f"expected the original's vocabulary of {expected} tokens, got {candidate.path.name} with {own}"
        )
    readings = reading.read_all(writing.fitted(candidate, original.engine.context), original.rollouts, progress)
    return Score(original, readings, parts(original, readings))


def parts(original: Original, readings: Sequence[Reading]) -> dict[str, Part]:
    """Results for all prompts and for each kind."""
    kinds = [item.kind for item in original.items]
    found = {}
    for name in [WHOLE, *dict.fromkeys(kinds)]:
        chosen = [place for place, kind in enumerate(kinds) if name in (WHOLE, kind)]
        floors = {floor: [rows[place] for place in chosen] for floor, rows in original.floors.items()}
        found[name] = _part([readings[place] for place in chosen], floors)
    return found


def _part(readings: Sequence[Reading], floors: dict[str, list[Reading]]) -> Part:
    first = horizon.first_divergence(readings, next(iter(floors.values())), STEPS, OF)
    leads = np.array([r.rollout.leads for r in readings])
    flips = np.array([r.chosen != r.rollout.tokens for r in readings])
    return Part(
        closeness(readings),
        {name: closeness(rows) for name, rows in floors.items()},
        first,
        _margins(readings, leads, first),
        _share(flips),
        _share(flips & (leads >= first.tie)),
    )


def closeness(readings: Sequence[Reading]) -> Closeness:
    """How close readings are to the texts that were read."""
    parted = [r.first_divergence for r in readings]
    steps, clusters = aligned(readings), np.arange(len(readings))
    same = [r.chosen == r.rollout.tokens for r in readings]
    at, wrong = [float(p or 0) for p in parted], [p is not None for p in parted]
    return Closeness(
        len(readings),
        shares.share(parted.count(None), len(parted), OF),
        percentile.mean(steps, clusters, OF),
        percentile.ratio(at, wrong, clusters, OF),
        _mean(divergences(readings)),
        _share(np.array(same)),
    )


def aligned(readings: Sequence[Reading]) -> Float64:
    """Tokens before the first divergence of each reading (prompts,); STEPS if there is none."""
    return np.array([STEPS if r.first_divergence is None else r.first_divergence - 1 for r in readings], np.float64)


def divergences(readings: Sequence[Reading]) -> Float64:
    """KL(original || reader) in nats (prompts, steps)."""
    return horizon.divergences_of(readings, STEPS)


def _mean(values: Float64) -> Interval:
    """The mean of values (prompts, steps) with its interval over prompts."""
    return studentized.mean(values.mean(1), np.arange(len(values)), OF)


def _share(values: NDArray[np.bool_]) -> Interval:
    """The same of a share, whose interval must stay between 0 and 1 (a studentized one need not)."""
    return percentile.mean(values.mean(1), np.arange(len(values)), OF)


def _margins(readings: Sequence[Reading], leads: Float64, first: FirstDivergence) -> Margins:
    places = [(i, r.first_divergence - 1) for i, r in enumerate(readings) if r.first_divergence is not None]
    own = np.array([leads[place] for place in places])
    theirs = np.array([-readings[i].leads[step] for i, step in places])
    below = [(m, float((own < m).mean()) if len(own) else math.nan, float((leads < m).mean())) for m in MARGINS]
    at, candidate, everywhere = (float(np.median(x)) if x.size else math.nan for x in (own, theirs, leads))
    return Margins(at, candidate, everywhere, below, first.near_ties)
