"""Error feedback, recorded: its losses are those of the errors, and it helps."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.quantizers import slow_motion

GRID = np.linspace(-1, 1, 4)


def problem(seed: int, columns: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((200, 6)) @ random.standard_normal((6, columns))
    inputs += random.standard_normal(inputs.shape)
    return random.uniform(-1, 1, columns), inputs.T @ inputs / 200, np.tile(GRID, (columns, 1))


def test_factors_give_the_hessian() -> None:
    _, hessian, _ = problem(0)
    f, d = slow_motion.factors(hessian)
    assert (np.diag(f) == 1).all() and (np.triu(f, 1) == 0).all()
    np.testing.assert_allclose(f.T @ np.diag(d) @ f, hessian, atol=1e-10)


@pytest.mark.parametrize("feedback", [False, True])
def test_losses_are_those_of_the_errors(feedback: bool) -> None:
    weights, hessian, grid = problem(1)
    found = slow_motion.record(weights, hessian, grid, feedback)
    error = weights - found.decoded
    assert found.losses.sum() == pytest.approx(error @ hessian @ error)
    assert np.isin(found.decoded, GRID).all()


def test_a_column_is_moved_until_it_is_rounded() -> None:
    weights, hessian, grid = problem(2)
    found = slow_motion.record(weights, hessian, grid)
    assert (found.targets[0] == weights).all()
    for step in range(1, len(weights)):
        assert (found.targets[step, :step] == found.targets[step - 1, :step]).all()
        assert (found.targets[step, step:] != found.targets[step - 1, step:]).any()
    nearest = GRID[np.abs(GRID - np.diag(found.targets)[:, None]).argmin(axis=1)]
    np.testing.assert_array_equal(found.decoded, nearest)


def test_feedback_helps() -> None:
    losses = [[slow_motion.record(*problem(seed), f).losses.sum() for f in (False, True)] for seed in range(20)]
    plain, fed = np.array(losses).T
    assert np.median(fed / plain) < 0.7
