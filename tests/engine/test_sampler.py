"""The sampler's filters, one by one and in order, and its determinism."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.engine import Sampler
from bitwright.errors import BitwrightError, UsageError

PROBABILITIES = np.array([0.05, 0.4, 0.02, 0.3, 0.2, 0.03])  # in descending order: ids 1, 3, 4, 0, 5, 2
LOGITS = np.log(PROBABILITIES).astype(np.float32) + 7


def kept(**settings: float) -> list[int]:
    defaults = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}
    return Sampler(**(defaults | settings), seed=1).candidates(LOGITS)[0].tolist()  # type: ignore[arg-type]


def test_each_filter() -> None:
    assert kept() == [1, 3, 4, 0, 5, 2]
    assert kept(top_k=2) == [1, 3] and kept(top_k=100) == [1, 3, 4, 0, 5, 2]
    assert kept(top_p=0.39) == [1] and kept(top_p=0.41) == [1, 3] and kept(top_p=0.0) == [1]
    assert kept(top_p=0.89) == [1, 3, 4] and kept(top_p=0.91) == [1, 3, 4, 0]
    assert kept(min_p=0.49) == [1, 3, 4] and kept(min_p=0.51) == [1, 3] and kept(min_p=1) == [1]


def test_top_p_applies_to_what_top_k_kept() -> None:
    """Of 0.4 and 0.3 alone, 0.4 is 57%: enough for top_p 0.55, which 0.4 of the whole would not be."""
    assert kept(top_k=2, top_p=0.55) == [1]
    assert kept(top_p=0.55) == [1, 3]


def test_filters_use_probabilities_before_temperature() -> None:
    assert kept(temperature=5, top_p=0.69) == kept(temperature=0.1, top_p=0.69) == [1, 3]
    assert kept(temperature=5, min_p=0.49) == [1, 3, 4]


def test_temperature_sharpens_and_flattens() -> None:
    _, probabilities = Sampler(0.5, 0, 1, 0, seed=1).candidates(LOGITS)
    squares = np.sort(PROBABILITIES)[::-1] ** 2
    np.testing.assert_allclose(probabilities, squares / squares.sum(), rtol=1e-5)


def test_temperature_0_is_always_greedy() -> None:
    assert Sampler(0, top_k=0, seed=3)(LOGITS) == 1


def test_equal_logits_are_ordered_by_id() -> None:
    assert Sampler(1, 3, 1, 0, seed=1).candidates(np.zeros(50, np.float32))[0].tolist() == [0, 1, 2]


def test_draws_follow_the_probabilities_and_the_seed() -> None:
    def draws(seed: int) -> list[int]:
        sampler = Sampler(1, 0, 1, 0, seed=seed)
        return [sampler(LOGITS) for _ in range(4000)]

    first = draws(5)
    assert first == draws(5) != draws(6)
    counts = np.bincount(first, minlength=6) / 4000
    assert np.abs(counts - PROBABILITIES).max() < 4 * np.sqrt(0.25 / 4000)
    unseeded = Sampler()
    assert [unseeded(LOGITS) for _ in range(9)] == [s(LOGITS) for s in [Sampler(seed=unseeded.seed)] for _ in range(9)]


def test_nan_logits_are_refused() -> None:
    for bad in (np.nan, np.inf):
        for temperature in (0, 1):
            with pytest.raises(BitwrightError, match="logit"):
                Sampler(temperature)(np.array([0, bad, 1], np.float32))
    assert Sampler(0)(np.array([-np.inf, 2, -np.inf], np.float32)) == 1


@pytest.mark.parametrize(
    "setting",
    [{"temperature": -1}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 1.1}, {"min_p": -0.1}, {"seed": -1}],
)
def test_wrong_settings_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        Sampler(**setting)  # type: ignore[arg-type]
