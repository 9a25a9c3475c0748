"""How texts end: how long they are, whether they loop, and whether they end where the reference's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.rollout.horizon import clusters_of
from bitwright.measure.rollout.writing import Rollout
from bitwright.statistics import percentile
from bitwright.statistics.interval import Interval

LONGEST_CYCLE, REPEATS, LOOP = 64, 3, 24  # a loop: at least 3 repeats of a cycle of at most 64 tokens, over 24 tokens


@dataclass(frozen=True)
class Endings:
    """How the candidate's and the reference's texts end: `length_ratio` of mean lengths; shares of texts that ran into
    a loop; shares of texts without an end within the steps, among prompts whose reference text ended."""

    length_ratio: Interval
    loops: Interval
    reference_loops: Interval
    missing_ends: Interval
    ended: int


def endings(own: Sequence[Rollout], reference: Sequence[Rollout]) -> Endings:
    """How both end; `own` and `reference` continue the same prompts."""
    clusters = clusters_of(reference)
    ended = np.array([rollout.ended for rollout in reference])
    missing = ended & ~np.array([rollout.ended for rollout in own])
    loops, reference_loops = ([loop_start(p.tokens) is not None for p in rollouts] for rollouts in (own, reference))
    return Endings(
        percentile.ratio([len(p) for p in own], [len(p) for p in reference], clusters),
        percentile.mean(loops, clusters),
        percentile.mean(reference_loops, clusters),
        percentile.ratio(missing, ended, clusters),
        int(ended.sum()),
    )


def loop_start(tokens: NDArray[np.int32]) -> int | None:
    """Where the loop at the end of a text (steps,) begins; None without one."""
    n = len(tokens)
    for period in range(1, min(LONGEST_CYCLE, n // REPEATS) + 1):
        differs = np.flatnonzero(tokens[period:] != tokens[:-period])
        start = int(differs[-1]) + 1 if len(differs) else 0
        if n - start >= max(REPEATS * period, LOOP):
            return start
    return None
