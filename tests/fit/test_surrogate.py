"""The surrogate learns what the additive model leaves out, and no more than there is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import Planted, choices, interactions

from bitwright.fit.choices import Levels
from bitwright.fit.surrogate import Surrogate

CHOICES = choices(4)
ORIGIN: Levels = (2,) * 16


def candidates(count: int, seed: int) -> list[Levels]:
    """Random candidates of which some tensors differ from the origin."""
    random = np.random.default_rng(seed)
    moved = np.array(ORIGIN) + random.integers(-2, 3, (count, 16)) * (random.random((count, 16)) < 0.6)
    return [tuple(row) for row in moved.tolist()]


def gains(problem: Planted, found: list[Levels]) -> NDArray[np.float64]:
    """What the objective differs from the additive model, less the same of the origin."""
    beside = [problem.true(levels) - CHOICES.cost_of(levels) for levels in [ORIGIN, *found]]
    return np.array(beside[1:]) - beside[0]


def learned(problem: Planted, count: int, noise: float = 1e-5) -> Surrogate:
    found = candidates(count, 1)
    errors = np.random.default_rng(2).normal(0, noise, count)
    return Surrogate(CHOICES, ORIGIN, found, gains(problem, found) + errors, np.full(count, noise**2))


def unexplained(problem: Planted, surrogate: Surrogate) -> float:
    """The share of the variance of new candidates' gains that is not predicted."""
    new = candidates(300, 3)
    true = gains(problem, new)
    return float(((surrogate.predict(new)[0] - true) ** 2).mean() / (true**2).mean())


def test_pairs_are_learned() -> None:
    problem = Planted(CHOICES, interactions(CHOICES))
    assert unexplained(problem, learned(problem, 20)) < 0.7
    assert unexplained(problem, learned(problem, 250)) < 0.05


def test_a_role_that_costs_more_is_learned_from_few() -> None:
    problem = Planted(CHOICES, np.zeros((16, 16)), {"ffn_down": 2.5, "attn_q": 0.5})
    assert unexplained(problem, learned(problem, 25)) < 0.05


def test_spreads_are_about_as_large_as_errors() -> None:
    problem = Planted(CHOICES, interactions(CHOICES))
    new = candidates(300, 4)
    mean, spread = learned(problem, 80).predict(new)
    errors = (mean - gains(problem, new)) / spread
    assert 0.5 < np.sqrt(np.mean(errors**2)) < 2


def test_noise_alone_teaches_nothing() -> None:
    problem = Planted(CHOICES, np.zeros((16, 16)))
    noise = 1e-3
    mean, _ = learned(problem, 60, noise).predict(candidates(300, 5))
    assert np.sqrt(np.mean(mean**2)) < noise


@pytest.mark.parametrize("count", [0, 1, 60])
def test_models_of_pairs_mean_what_the_process_says(count: int) -> None:
    problem = Planted(CHOICES, interactions(CHOICES))
    surrogate, new = learned(problem, count), candidates(40, 6)
    additive = np.array([CHOICES.cost_of(levels) for levels in new]) - CHOICES.cost_of(ORIGIN)
    mean, spread = surrogate.predict(new)
    assert surrogate.mean()(np.array(new)) == pytest.approx(mean + additive, rel=1e-6, abs=1e-8)
    random = np.random.default_rng(7)
    draws = np.array([surrogate.draw(random)(np.array(new)) for _ in range(400)])
    assert np.abs(draws.mean(axis=0) - additive - mean).max() < 5 * spread.max() / 20 + 1e-12
    assert draws.std(axis=0) == pytest.approx(spread, rel=0.2, abs=1e-8)


def test_costs_around_a_candidate_are_exact_for_one_switch() -> None:
    model = learned(Planted(CHOICES, interactions(CHOICES)), 60).mean()
    here = candidates(1, 8)[0]
    costs = model.around(here)
    for tensor in range(16):
        for level in range(6):
            there = (*here[:tensor], level, *here[tensor + 1 :])
            change = model(np.array([there]))[0] - model(np.array([here]))[0]
            assert costs[tensor, level] - costs[tensor, here[tensor]] == pytest.approx(change, abs=1e-12)
