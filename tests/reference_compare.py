"""Holds an engine to the reference forward, within the error of float32 arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from reference_forward import Reference


def compare(
    metadata: Mapping[str, Any], weights: Mapping[str, np.ndarray], ids: list[int], got: np.ndarray, runs: int = 1
) -> tuple[float, float]:
    """Assert that log-probabilities `got` (tokens, vocabulary) are the reference's, up to float32 rounding.

    The root mean square of the differences may be 3 times, the largest 6 times, what `runs` runs of simulated rounding
    give: another run draws a larger error somewhere, and a real engine's errors may be biased. Keys and values are
    stored as float16, so a tiny error can round one to the next float16. This makes up most of the tolerance, and the
    simulation does it as often. Returns both, as shares of what is allowed.
    """
    exact = Reference(metadata, weights).log_probabilities(ids)
    played = np.array(
        [
            Reference(metadata, weights, rounding=np.random.default_rng(seed)).log_probabilities(ids) - exact
            for seed in range(runs)
        ]
    )
    allowed_rms, allowed_largest = 3 * max(rms(p) for p in played), 6 * np.abs(played).max()
    difference = got - exact
    worst = np.unravel_index(np.abs(difference).argmax(), difference.shape)
    message = f"worst at {worst}: expected {exact[worst]}, got {got[worst]}"
    assert np.abs(difference).max() <= allowed_largest, f"{message}, allowed {allowed_largest:.2g}"
    assert rms(difference) <= allowed_rms, f"rms {rms(difference):.2g}, allowed {allowed_rms:.2g}; {message}"
    return rms(difference) / allowed_rms, np.abs(difference).max() / allowed_largest


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
