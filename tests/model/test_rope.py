"""Rotary scalings against numbers computed from the papers' formulas."""

from __future__ import annotations

import math

import numpy as np

from bitwright.model.rope import Rope


def test_plain_and_linear() -> None:
    np.testing.assert_allclose(Rope(10000.0, 4).inverse_frequencies(), [1, 0.01])
    np.testing.assert_allclose(Rope(10000.0, 4, "linear", 8.0).inverse_frequencies(), [0.125, 0.00125])
    np.testing.assert_allclose(Rope(10000.0, 4, "none", 8.0).inverse_frequencies(), [1, 0.01])
    assert Rope(10000.0, 4, "linear", 8.0).magnitude == 1


def test_divisors_of_llama_3() -> None:
    np.testing.assert_allclose(Rope(10000.0, 4).inverse_frequencies(np.array([1, 8])), [1, 0.00125])


def test_yarn_keeps_fast_pairs_and_stretches_slow_ones() -> None:
    """128 values, base 10000, 4096 positions: 32 turns at pair 20.94 (floor 20), 1 turn at pair 45.03 (ceil 46)."""
    rope = Rope(10000.0, 128, "yarn", 4.0, 4096)
    plain = Rope(10000.0, 128).inverse_frequencies()
    ratio = rope.inverse_frequencies() / plain
    np.testing.assert_allclose(ratio[:21], 1)
    np.testing.assert_allclose(ratio[46:], 0.25)
    np.testing.assert_allclose(ratio[33], 1 - 0.75 * 13 / 26)
    assert rope.magnitude == 0.1 * math.log(4) + 1


def test_yarn_may_begin_and_end_between_pairs() -> None:
    """gpt-oss, by transformers 5.24: 32 turns at pair 8.09, 1 turn at pair 17.40."""
    found = Rope(150000.0, 64, "yarn", 32.0, 4096, whole_pairs=False).inverse_frequencies()
    expected = {
        0: 1.0,
        8: 0.05081327,
        9: 0.0317057,
        13: 0.003860359,
        17: 0.0001293187,
        18: 3.830881e-5,
        31: 3.023511e-7,
    }
    np.testing.assert_allclose(found[list(expected)], list(expected.values()), rtol=2e-6)


def test_yarn_may_scale_less() -> None:
    assert Rope(10000.0, 128, "yarn", 4.0, 4096, log_multiplier=1.0).magnitude == 1
    half = Rope(10000.0, 128, "yarn", 4.0, 4096, log_multiplier=0.5).magnitude
    assert math.isclose(half, (0.1 * math.log(4) + 1) / (0.05 * math.log(4) + 1))


def test_yarn_without_stretching_changes_nothing() -> None:
    rope = Rope(10000.0, 128, "yarn", 1.0, 4096)
    np.testing.assert_allclose(rope.inverse_frequencies(), Rope(10000.0, 128).inverse_frequencies())
    assert rope.magnitude == 1
