"""Proposals keep the budget, use usable formats only, and find the optimum of a model of pairs where it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import Planted, choices, interactions, optimum

from bitwright.errors import BudgetError
from bitwright.fit.allocation import allocate
from bitwright.fit.proposals import Proposer, proposer, uniform
from bitwright.fit.surrogate import Pairs

CHOICES = choices(4)
SMALLEST, LARGEST = (int(CHOICES.bytes.min(axis=1).sum()), int(CHOICES.bytes.max(axis=1).sum()))
MODEL = Pairs(CHOICES.cost, (interactions(CHOICES) + interactions(CHOICES).T) / 2, np.sqrt(CHOICES.cost))


def within(share: float) -> Proposer:
    """A budget at this share of the way from the smallest candidate to the largest."""
    return proposer(CHOICES, int(SMALLEST + share * (LARGEST - SMALLEST)))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.97, 1.0])
def test_every_proposal_is_within_the_budget(share: float) -> None:
    found_by, random = within(share), np.random.default_rng(0)
    start = allocate(CHOICES, found_by.budget)
    found = [found_by.switched(start, random) for _ in range(50)]
    found += [found_by.perturbed(random) for _ in range(5)]
    found += [found_by.optimum(MODEL, start), *found_by.climbed(MODEL, start, 30)]
    assert all(found_by.room(levels) >= 0 for levels in found)
    assert share in (0.0, 1.0) or len(set(found)) > 20


def test_formats_that_a_tensor_cannot_hold_are_not_proposed() -> None:
    holes = CHOICES.bytes.copy()
    holes[::2, 2:4] = 0
    usable = replace(CHOICES, bytes=holes)
    within_usable, random = proposer(usable, within(0.4).budget), np.random.default_rng(0)
    start = allocate(usable, within_usable.budget)
    found = [within_usable.switched(start, random) for _ in range(50)] + [within_usable.perturbed(random)]
    found += [within_usable.optimum(MODEL, start), *within_usable.climbed(MODEL, start, 30)]
    assert all(usable.allowed[np.arange(16), levels].all() for levels in found)


def test_climbs_only_improve_and_come_near_the_optimum() -> None:
    narrow = within(0.35)
    start = allocate(CHOICES, narrow.budget)
    path = [start, *narrow.climbed(MODEL, start, 50)]
    values = [float(MODEL(np.array([levels]))[0]) for levels in path]
    assert values == sorted(values, reverse=True)
    problem = Planted(CHOICES, interactions(CHOICES))
    best = problem.true(optimum(problem, narrow.budget))
    found = min(values[-1], float(MODEL(np.array([narrow.optimum(MODEL, start)]))[0]))
    assert found - best < 0.25 * (values[0] - best)


def test_uniform_fills_what_one_format_leaves() -> None:
    budget = within(0.4).budget
    found = uniform(CHOICES, budget, np.random.default_rng(0))
    assert len(set(found)) == 2
    assert max(found) == min(found) + 1
    assert 0 <= budget - CHOICES.bytes_of(found) < CHOICES.bytes.max()
    assert uniform(CHOICES, LARGEST, np.random.default_rng(0)) == (5,) * 16
    with pytest.raises(BudgetError, match="smallest candidate takes"):
        uniform(CHOICES, SMALLEST - 1, np.random.default_rng(0))
