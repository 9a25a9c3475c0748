"""Statistics of chains, on simulated chains with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.measure.chains.comparison import after_error, compare_chains, excess, overall_horizon_ratio
from bitwright.measure.chains.running import FreeRun, TeacherForced
from bitwright.measure.chains.scoring import ChainScore

STEPS = 12


def score(random: np.random.Generator, wrong: np.ndarray, count: int = 60, singles: int = 240) -> ChainScore:
    """Chains whose step k is wrong with chance `wrong[k]`, independently."""

    def forced(steps: int) -> TeacherForced:
        return TeacherForced(random.random(steps) >= wrong[:steps], random.exponential(1 + 10 * wrong[:steps]))

    return ChainScore("made up", 1, STEPS, [forced(1) for _ in range(singles)], [forced(STEPS) for _ in range(count)])


@pytest.mark.slow  # the other tests have expected values inside single intervals
def test_independent_steps_do_not_compound() -> None:
    """Of 300 intervals for the excess of independent steps, 93% to 97% contain zero."""
    random = np.random.default_rng(0)
    held = sum(e.low <= 0 <= e.high for e in (excess(score(random, np.full(STEPS, 0.06))) for _ in range(300)))
    assert 0.93 <= held / 300 <= 0.97


def test_errors_that_compound_are_seen() -> None:
    """With chances of error that grow from 2% to 13%, success is below p(1)^n; with falling ones, above."""
    random, growing = np.random.default_rng(1), np.linspace(0.02, 0.13, STEPS)
    found = excess(score(random, growing, 400, 1600))
    expected = np.log1p(-growing).mean() - math.log(0.98)
    assert found.low < expected < found.high < 0
    assert excess(score(random, growing[::-1], 400, 1600)).low > 0


def test_errors_that_follow_errors() -> None:
    """After a first error of chance 0.1, each step is wrong with 0.3; a fifth of those cannot be judged."""
    random, chains = np.random.default_rng(2), []
    for _ in range(800):
        right: list[bool | None] = []
        while len(right) < STEPS:
            failed = False in right
            right.append(bool(random.random() >= (0.3 if failed else 0.1)))
            if failed and random.random() < 0.2:
                right[-1] = None
        chains.append(FreeRun([], right))
    found = after_error(chains)
    assert found.low < 3 < found.high and found.high - found.low < 1
    none = after_error([FreeRun([], [True, True])] * 3)
    assert math.isnan(none.estimate) and none.ends is None


def test_a_candidate_against_its_reference() -> None:
    random = np.random.default_rng(5)
    reference, candidate = score(random, np.full(STEPS, 0.05), 500), score(random, np.full(STEPS, 0.10), 500)
    found = compare_chains(candidate, reference)
    expected = math.log1p(-0.05) / math.log1p(-0.10)
    assert found.horizon_ratio.low < expected < found.horizon_ratio.high < 1
    assert found.accuracy.low < 0.90 < found.accuracy.high < found.reference_accuracy.low < 0.95
    assert found.loss_change.low < 0.5 < found.loss_change.high and found.loss_change.low > 0
    np.testing.assert_allclose(found.candidate.share, 0.9 ** np.arange(STEPS + 1), atol=0.09)
    both = overall_horizon_ratio([candidate, candidate], [reference, reference])
    assert both.estimate == pytest.approx(found.horizon_ratio.estimate)
    assert both.high - both.low < found.horizon_ratio.high - found.horizon_ratio.low
    assert compare_chains(reference, reference).horizon_ratio.estimate == 1
