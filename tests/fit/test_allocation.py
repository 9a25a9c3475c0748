"""The allocation is the optimum of the additive model, as enumeration finds it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import BudgetError
from bitwright.fit import allocation
from bitwright.fit.allocation import allocate, cheapest
from bitwright.fit.choices import Choices

FORMATS = [formats.get(name) for name in ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0")]


def problem(bytes: NDArray[np.int64], cost: NDArray[np.float64]) -> Choices:
    """Choices of as many tensors and formats as the arrays have."""
    return Choices(
        tuple(f"t{n}" for n in range(len(bytes))), tuple(FORMATS[: bytes.shape[1]]), bytes, cost.astype(np.float64)
    )


def small(seed: int) -> Choices:
    """A random problem: integers or floats, few or many ties, sizes that differ by up to 100 times, some unusable."""
    rng = np.random.default_rng(seed)
    tensors, levels = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    sizes = rng.integers(1, (1, 3, 100)[seed % 3] + 1, (tensors, 1))
    bytes = sizes * rng.integers(1, (4, 30)[seed // 3 % 2], (tensors, levels))
    cost = rng.random((tensors, levels)) / bytes if seed // 6 % 2 else rng.integers(0, 6, (tensors, levels))
    unusable = rng.random(bytes.shape) < 0.15
    unusable[:, 0] = False
    return problem(np.where(unusable & (seed % 2 == 0), 0, bytes), np.where(unusable & (seed % 2 == 1), np.inf, cost))


def candidates(choices: Choices) -> list[tuple[int, float]]:
    """(bytes, cost) of every candidate."""
    found = itertools.product(*[np.flatnonzero(row).tolist() for row in choices.allowed])
    return [(choices.bytes_of(levels), choices.cost_of(levels)) for levels in found]


def test_a_search_that_is_too_narrow_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "WIDTHS", (1, 2, 10**4))
    for seed in range(60):
        choices = small(seed)
        every = candidates(choices)
        budget = sorted(b for b, _ in every)[len(every) // 3]
        least = min(c for b, c in every if b <= budget)
        assert choices.cost_of(allocate(choices, budget)) == pytest.approx(least, rel=1e-12), f"seed {seed}"


def test_costs_may_be_negative() -> None:
    """As those drawn from a surrogate are; the search for the multiplier then never ended."""
    for seed in range(40):
        choices = small(seed)
        choices = problem(choices.bytes, choices.cost - 3 * np.random.default_rng(seed).random(choices.cost.shape))
        every = candidates(choices)
        budget = sorted(b for b, _ in every)[len(every) // 3]
        least = min(c for b, c in every if b <= budget)
        assert choices.cost_of(allocate(choices, budget)) == pytest.approx(least, rel=1e-12), f"seed {seed}"


@pytest.mark.parametrize("part", range(4))
def test_the_optimum_is_that_of_enumeration(part: int) -> None:
    for seed in range(part * 60, part * 60 + 60):
        choices = small(seed)
        every = candidates(choices)
        sizes, costs = sorted({b for b, _ in every}), sorted({c for _, c in every})
        for budget in {sizes[0], sizes[len(sizes) // 3], sizes[len(sizes) // 2] + 1, sizes[-1] - 1, sizes[-1]}:
            if budget >= sizes[0]:
                found = allocate(choices, budget)
                assert choices.bytes_of(found) <= budget, f"seed {seed}, budget {budget}"
                least = min(c for b, c in every if b <= budget)
                assert choices.cost_of(found) == pytest.approx(least, rel=1e-12), f"seed {seed}, budget {budget}"
        for most in {costs[0], costs[len(costs) // 2], costs[-1]}:
            most += 1e-9
            found = cheapest(choices, most)
            assert choices.cost_of(found) <= most
            assert choices.bytes_of(found) == min(b for b, c in every if c <= most), f"seed {seed}, cost {most}"


def test_only_usable_formats_are_taken() -> None:
    choices = problem(np.array([[0, 5, 9], [3, 4, 0]]), np.array([[0.0, np.inf, 2], [4, 5, 0]]))
    assert allocate(choices, 100) == cheapest(choices, 100.0) == (2, 0)


def test_of_equal_cost_the_fewest_bytes() -> None:
    choices = problem(np.array([[9, 5, 7]]), np.array([[1, 1, 1]]))
    assert allocate(choices, 20) == (1,)


@pytest.mark.parametrize("budget", [8, 100])
def test_one_choice_is_taken(budget: int) -> None:
    assert allocate(problem(np.array([[3], [5]]), np.array([[1], [0]])), budget) == (0, 0)


def test_a_budget_that_nothing_meets() -> None:
    choices = problem(np.array([[3, 4], [5000, 7000]]), np.array([[1, 0.5], [2, 1]]))
    with pytest.raises(BudgetError, match=r"smallest candidate takes 5,003 bytes, more than the budget of 5,002") as e:
        allocate(choices, 5002)
    assert e.value.nearest == 5003
    assert e.value.exit_code == 3
    with pytest.raises(BudgetError, match=r"predicted to cost 1.5 nats, more than the 1.25 allowed") as e:
        cheapest(choices, 1.25)
    assert e.value.nearest == 1.5
