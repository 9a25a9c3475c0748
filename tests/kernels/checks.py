"""Shared by the kernel tests: input values, and a comparison that reports the worst cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

U = 2.0**-24  # half the relative distance of adjacent float32 values


def within(got: NDArray[Any], expected: NDArray[Any], bound: Any) -> None:
    error = np.abs(got - expected)
    excess = error - bound
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    assert np.all(error <= bound), (
        f"cell {tuple(map(int, worst))}: expected {expected[worst]!r}, got {got[worst]!r}, {error[worst]:.3g} apart, "
        f"bound {np.broadcast_to(bound, error.shape)[worst]:.3g}"
    )


def values(*shape: int, seed: int = 0, scale: float = 1.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)
