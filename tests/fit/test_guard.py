"""The guard of a search: where nothing is better than the start, the start is kept, as often as it is promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from fit.planted import choices
from numpy.typing import NDArray

from bitwright.fit import guard
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Levels
from bitwright.fit.evolution import Search, evolve
from bitwright.fit.history import History

Float64 = NDArray[np.float64]
CHOICES = choices(1)
BUDGET = int(CHOICES.bytes.min(axis=1).sum() * 0.6 + CHOICES.bytes.max(axis=1).sum() * 0.4)
SEED = allocate(CHOICES, BUDGET)
CHUNKS = 24
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Float64]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "t with 3 degrees": lambda random, shape: random.standard_t(3, shape),
}


@dataclass
class Noise:
    """A Scorer by which candidates differ from the seed in noise alone, and are worse than it by `loss`."""

    number: int
    loss: float = 0.0
    noise: str = "normal"
    chunks: int = CHUNKS

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> Float64:
        rows = []
        for levels in candidates:
            random = np.random.default_rng([self.number, *levels])
            own = NOISES[self.noise](random, (self.chunks,)) + self.loss
            rows.append((own if levels != SEED else 0 * own)[list(chunks)] + 9)
        return np.array(rows)


def searches(count: int, search: Search, loss: float = 0.0, noise: str = "normal") -> list[History]:
    return [evolve(CHOICES, Noise(n, loss, noise), SEED, BUDGET, n, search) for n in range(count)]


def elsewhere(found: Sequence[History]) -> float:
    """The share of searches that did not end at the seed."""
    return sum(history.best > 0 for history in found) / len(found)


@pytest.mark.parametrize("noise", NOISES)
def test_where_nothing_is_better_the_start_is_kept(noise: str) -> None:
    """Without the guard, more than half of the same searches end with a candidate that is worse than the seed."""
    count, rate = 40, 0.2
    how = {"generations": 4, "surrogate": False, "accept": 0.5}
    guarded = searches(count, Search(guard=rate, **how), 0.02, noise)
    assert elsewhere(guarded) <= rate + 2.3 * np.sqrt(rate * (1 - rate) / count)
    assert elsewhere(searches(20, Search(apart=0.0, **how), 0.02, noise)) > 0.5
    assert sum(one.outcome == "not confirmed" for history in guarded for one in history.tried) > count


@pytest.mark.parametrize("noise", NOISES)
def test_many_tests_in_a_row_err_at_most_at_the_rate(noise: str) -> None:
    random, count, rate = np.random.default_rng(3), 800, 0.05
    gains = NOISES[noise](random, (count, 5, 16))
    wrong = sum(any(guard.passed(one, rate, n) for n, one in enumerate(search, 1)) for search in gains) / count
    assert 0.2 * rate < wrong <= rate + 2.3 * np.sqrt(rate * (1 - rate) / count)
    assert sum(guard.level(rate, n) for n in range(1, 1000)) < rate


def test_a_candidate_that_is_better_passes() -> None:
    history = searches(1, Search(generations=4), -2.0)[0]
    best = history.tried[history.best]
    assert history.best and best.outcome == "accepted" and (history.apart(0) - best.apart).mean() > 1


def test_no_race_reads_what_is_set_apart() -> None:
    """Also where the share leaves no whole number; and only winners of races are measured there."""
    history = searches(1, Search(generations=6, apart=0.4, accept=0.5))[0]
    assert {chunk for one in history.tried for chunk in one.chunks} == set(range(15))
    assert len(history.tried[0].apart) == CHUNKS - 15
    for one in history.tried[1:]:
        assert bool(one.apart) == (one.outcome in {"accepted", "not confirmed"})
    assert history.evaluations == sum(len(one.scores) + len(one.apart) for one in history.tried)


def test_too_few_chunks_for_a_guard_keep_the_start() -> None:
    history = evolve(CHOICES, Noise(0, -2.0, chunks=6), SEED, BUDGET, search=Search(generations=3))
    assert (history.generation, history.best, len(history.tried)) == (0, 0, 1)
    assert evolve(CHOICES, Noise(0, -2.0, chunks=6), SEED, BUDGET, search=Search.published(generations=3)).best
