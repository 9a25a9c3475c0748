"""Which candidates to race next: proposals from what a search has learned, ranked by the improvement to expect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bitwright.fit.choices import Levels
from bitwright.fit.history import History, decoded
from bitwright.fit.proposals import Proposer
from bitwright.fit.surrogate import Surrogate

DRAWS = 8  # models drawn from the surrogate, each of which is optimized
CLIMBS = (2, 6, 30)  # exchanges, at most, of a candidate that starts from the incumbent
SWITCHES = 40  # random switches that are ranked with the others
LEARNED = 8  # candidates before the surrogate proposes
REMEMBERED = 400  # candidates that the surrogate learns from, the last ones
EXPLORED = 5  # one in so many of those chosen is random
PRIOR = 4.0  # chunks that the variance common to all candidates counts for in that of one
ATTEMPTS = 20  # to find a switch that was not tried, for each that is wanted


@dataclass(frozen=True)
class Proposal:
    """A candidate that was not tried yet. origin: how it came about, in words. gain: by how many nats it should be
    better than the incumbent; expected: the mean of that gain where it is positive. None without a surrogate."""

    levels: Levels
    origin: str
    gain: float | None = None
    expected: float | None = None


def propose(
    within: Proposer, history: History, random: np.random.Generator, wanted: int, learn: bool
) -> list[Proposal]:
    """At most `wanted` candidates. They are fewer if no more can be found.

    Once there is something to `learn` from, they are those with the greatest expected improvement, and a few random
    ones, of: the optima of models drawn from the surrogate, and of its mean; the way there from the incumbent; and
    random switches of the incumbent. Before, half are optima for perturbed costs. Without `learn` all are switches.
    """
    incumbent = history.incumbent
    tried, pool = {decoded(one.levels) for one in history.tried}, dict[Levels, str]()

    def add(origin: str, levels: Levels) -> None:
        if levels not in tried:
            pool.setdefault(levels, origin)

    surrogate = learned(within, history) if learn and len(history.tried) > LEARNED else None
    if surrogate is not None:
        for n in range(DRAWS):
            model = surrogate.draw(random) if n else surrogate.mean()
            add("allocation", within.optimum(model, incumbent))
            climbed = list(within.climbed(model, incumbent, max(CLIMBS)))
            for step in {min(steps, len(climbed)) for steps in CLIMBS if climbed}:
                add("exchanges", climbed[step - 1])
    elif learn:
        for _ in range(wanted // 2):
            add("perturbed costs", within.perturbed(random))
    size = wanted if surrogate is None else len(pool) + SWITCHES
    for _ in range(ATTEMPTS * size):
        if len(pool) >= size:
            break
        add("switch", within.switched(incumbent, random))
    if surrogate is None or not pool:
        return [Proposal(levels, origin) for levels, origin in pool.items()]
    return _ranked(within, incumbent, pool, surrogate, random, wanted)


def learned(within: Proposer, history: History) -> Surrogate:
    """A surrogate of what was measured, less the incumbent on the same chunks and less what the additive model says."""
    choices, incumbent = within.choices, history.incumbent
    own = history.scores(history.best)
    others = [one for n, one in enumerate(history.tried) if n != history.best and len(one.scores) > 1][-REMEMBERED:]
    differences = [np.array(one.scores) - own[one.chunks] for one in others]
    levels = [decoded(one.levels) for one in others]
    counts = np.array([len(d) for d in differences])
    squares = np.array([float(((d - d.mean()) ** 2).sum()) for d in differences])
    common = squares.sum() / max((counts - 1).sum(), 1)
    noise = (squares + PRIOR * common) / (counts - 1 + PRIOR) / counts
    predicted = np.array([choices.cost_of(one) for one in levels]) - choices.cost_of(incumbent)
    return Surrogate(choices, incumbent, levels, np.array([d.mean() for d in differences]) - predicted, noise)


def _ranked(
    within: Proposer,
    incumbent: Levels,
    pool: dict[Levels, str],
    surrogate: Surrogate,
    random: np.random.Generator,
    wanted: int,
) -> list[Proposal]:
    """The candidates of greatest expected improvement, and random ones."""
    candidates = list(pool)
    beside, spread = surrogate.predict(candidates)
    additive = np.array([within.choices.cost_of(levels) for levels in candidates])
    gain = within.choices.cost_of(incumbent) - additive - beside
    proposals = [
        Proposal(levels, pool[levels], g, improvement(g, s))
        for levels, g, s in zip(candidates, gain.tolist(), spread.tolist(), strict=True)
    ]
    proposals.sort(key=lambda p: -(p.expected or 0.0))
    best = wanted - wanted // EXPLORED
    others = random.permutation(len(proposals[best:]))[: wanted - best]
    return proposals[:best] + [proposals[best + n] for n in others]


def improvement(gain: float, spread: float) -> float:
    """The mean of a normally distributed gain where it is positive, 0 elsewhere (Jones, Schonlau and Welch, 1998)."""
    if spread <= 0:
        return max(gain, 0.0)
    u = gain / spread
    return gain * NormalDist().cdf(u) + spread * math.exp(-u * u / 2) / math.sqrt(2 * math.pi)
