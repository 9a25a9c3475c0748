"""The search on planted problems: it finds what the additive model cannot, the same way each time, also when killed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from planted import Planted, choices, interactions, optimum

from bitwright.errors import UsageError
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Levels
from bitwright.fit.evolution import Search, evolve
from bitwright.fit.history import History, decoded
from bitwright.fit.learning import propose
from bitwright.fit.proposals import Proposer, proposer, uniform
from bitwright.fit.surrogate import Pairs

CHOICES = choices(4)
BUDGET = int(CHOICES.bytes.min(axis=1).sum() * 0.65 + CHOICES.bytes.max(axis=1).sum() * 0.35)
SEED = allocate(CHOICES, BUDGET)


def planted(strength: float = 1.0, **changed: Any) -> Planted:
    return Planted(CHOICES, interactions(CHOICES, strength=strength), **changed)


Told = list[tuple[float, float | None, str]]


@pytest.fixture(scope="module")
def searched() -> tuple[Planted, History, Told]:
    """A search of 900 chunks, and the progress it reported."""
    problem, told = planted(noise=0.02), Told()
    history = evolve(CHOICES, problem, SEED, BUDGET, search=Search(evaluations=900),
                     progress=lambda *arguments: told.append(arguments))  # fmt: skip
    return problem, history, told


def test_evolution_finds_what_the_additive_seed_cannot(searched: tuple[Planted, History, Told]) -> None:
    problem, history, _ = searched
    seed, best, found = (problem.true(one) for one in (SEED, optimum(problem, BUDGET), history.incumbent))
    assert best < 0.95 * seed
    assert found - best < 0.3 * (seed - best)
    assert problem.scored == history.evaluations < 900 + 8 * problem.chunks


class Exhausted(Proposer):
    """Finds what has been tried."""

    def optimum(self, pairs: Pairs, start: Levels) -> Levels:
        return start

    def climbed(self, pairs: Pairs, start: Levels, steps: int) -> Iterator[Levels]:
        return iter((start,))

    def switched(self, levels: Levels, random: np.random.Generator) -> Levels:
        return levels


def test_a_search_that_finds_no_further_candidate_proposes_none(searched: tuple[Planted, History, Told]) -> None:
    """Where a surrogate has been learned, too."""
    own = proposer(CHOICES, BUDGET)
    within = Exhausted(**{field.name: getattr(own, field.name) for field in fields(own)})
    assert propose(within, searched[1], np.random.default_rng(0), 8, learn=True) == []


@pytest.mark.parametrize("start", ["seed", "uniform"])
def test_it_finds_more_than_what_was_published(searched: tuple[Planted, History, Told], start: str) -> None:
    problem, ours, _ = searched
    begin = SEED if start == "seed" else uniform(CHOICES, BUDGET, np.random.default_rng(0))
    theirs = evolve(CHOICES, planted(noise=0.02), begin, BUDGET, search=Search.published(evaluations=900))
    assert problem.true(ours.incumbent) < problem.true(theirs.incumbent)
    first = [one for one in theirs.tried if one.generation == 1]
    assert len(first) == 32
    assert sorted(len(one.scores) for one in first)[-5:] == [4, 8, 8, 8, 32]


def test_every_candidate_is_new_and_within_the_budget(searched: tuple[Planted, History, Told]) -> None:
    history = searched[1]
    assert len({one.levels for one in history.tried}) == len(history.tried)
    assert all(CHOICES.bytes_of(decoded(one.levels)) <= BUDGET for one in history.tried)
    accepted = [one for one in history.tried if one.outcome == "accepted"]
    assert accepted and history.tried[history.best] is accepted[-1]
    means = [np.mean(one.scores) for one in [history.tried[0], *accepted]]
    assert means == sorted(means, reverse=True)


def test_progress_says_what_is_tried_and_how_good_the_best_is(searched: tuple[Planted, History, Told]) -> None:
    told = searched[2]
    assert told[0] == (0, 900, "the seed: 32 chunks")
    assert told[1][2].startswith("generation 1: 8 candidates on 4 chunks; best 0.0")
    assert told[-1][2].endswith("below the seed")
    assert told[-1][0] > 500


def test_without_interactions_the_seed_is_kept_or_nothing_is_lost() -> None:
    problem = planted(0.0, noise=0.05)
    found = evolve(CHOICES, problem, SEED, BUDGET, search=Search(evaluations=500)).incumbent
    assert problem.true(found) < 1.02 * problem.true(SEED)


def test_a_search_killed_anywhere_resumes_as_if_nothing_had_happened() -> None:
    """The last generation has a winner, which the guard accepts."""
    search, states = Search(generations=5, offspring=4, accept=0.9), list[str]()
    whole = evolve(CHOICES, planted(noise=0.02), SEED, BUDGET, 3, search,
                   checkpoint=lambda history: states.append(json.dumps(history.json())))  # fmt: skip
    assert json.loads(states[-1]) == json.loads(json.dumps(whole.json()))
    assert whole.tried[whole.best].generation == 5 and whole.tried[whole.best].apart
    problem = planted(noise=0.02)
    assert len(states) > 12
    for state in states[::3]:
        saved: Mapping[str, Any] = json.loads(state)
        resumed = evolve(CHOICES, problem, SEED, BUDGET, 3, search, history=saved)
        assert resumed.json() == whole.json()
    problem.scored = 0
    evolve(CHOICES, problem, SEED, BUDGET, 3, search, history=json.loads(states[-2]))
    assert problem.scored == 0, "the last scores were known"


def test_the_seed_decides() -> None:
    def levels(seed: int) -> list[str]:
        return [one.levels for one in evolve(CHOICES, planted(), SEED, BUDGET, seed, Search(generations=2)).tried]

    assert levels(1) == levels(1) != levels(2)


def test_a_history_of_another_search_is_refused() -> None:
    history = evolve(CHOICES, planted(), SEED, BUDGET, 3, Search(generations=1)).json()
    with pytest.raises(UsageError, match="cannot be resumed with another seed: expected 3, got 4"):
        evolve(CHOICES, planted(), SEED, BUDGET, 4, Search(generations=2), history=history)
    with pytest.raises(UsageError, match="cannot be resumed with another budget"):
        evolve(CHOICES, planted(), SEED, BUDGET + 1, 3, Search(generations=2), history=history)
    with pytest.raises(UsageError, match="history of version 2, got 1"):
        evolve(CHOICES, planted(), SEED, BUDGET, 3, history={**history, "version": 1})
    with pytest.raises(UsageError, match="cannot be resumed with another apart: expected 0.5, got 0.25"):
        evolve(CHOICES, planted(), SEED, BUDGET, 3, Search(apart=0.25), history=history)


def test_limits() -> None:
    def generations(seconds: float, expected: float) -> int:
        """Of a search by a clock that a second has passed on whenever it is read: twice in a generation."""
        limits, times = Search(seconds=seconds, expected=expected), iter(range(100))
        return evolve(CHOICES, planted(), SEED, BUDGET, search=limits, clock=lambda: next(times)).generation

    assert [generations(seconds, 0) for seconds in (1, 2, 5, 6, 8, 9)] == [0, 1, 1, 2, 2, 3]
    assert [generations(8, expected) for expected in (6.5, 7)] == [2, 0]
    with pytest.raises(UsageError, match="expected a start of at most"):
        evolve(CHOICES, planted(), (5,) * 16, BUDGET)
    with pytest.raises(UsageError, match="at least 2 chunks, got 1"):
        evolve(CHOICES, planted(chunks=1), SEED, BUDGET)


def test_it_ends_when_nothing_is_expected() -> None:
    history = evolve(CHOICES, planted(0.0, noise=0.0), SEED, BUDGET, search=Search(generations=60, least=0.01))
    assert history.generation < 60
