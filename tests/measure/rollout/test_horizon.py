"""Measures of rollouts, on invented rollouts and divergences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.measure.rollout.endings import endings, loop_start
from bitwright.measure.rollout.horizon import (
    first_divergence,
    growth,
    local_shares,
    sequence_divergence,
)
from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import GREEDY, Prompt, Rollout


def rollout(tokens: list[int], document: int, ended: bool = False, lead: float = 1.0) -> Rollout:
    n = len(tokens)
    prompt = Prompt(np.array([1], np.int32), document)
    return Rollout(document, prompt, GREEDY, np.array(tokens, np.int32), ended, np.full(n, lead), np.zeros(n))


def reading(of: Rollout, leads: list[float]) -> Reading:
    return Reading(of, np.array(leads), np.full(len(of), 99, np.int32), np.zeros(len(of)))


def test_first_divergence_and_near_ties() -> None:
    """Four rollouts of four tokens, one ended after two: diverged at 2, never, at 3 with a tiny lead, never."""
    rollouts = [
        rollout([1, 2, 3, 4], 0),
        rollout([1, 2, 3, 4], 1),
        rollout([5, 6, 7, 8], 2, lead=0.01),
        rollout([9, 2], 3, True),
    ]
    leads = [[1, -1, 1, -1], [1, 1, 1, 1], [0.02, 0.02, -0.01, 0.02], [1, 1]]
    readings = [reading(p, x) for p, x in zip(rollouts, leads, strict=True)]
    floor = [reading(p, (p.leads - 0.02).tolist()) for p in rollouts]
    found = first_divergence(readings, floor, 4)
    assert (found.survival.events, found.near_ties, found.without_near_ties.events) == (2, 1, 1)
    assert found.tie == pytest.approx(0.02)
    np.testing.assert_allclose(found.survival.share, [1, 1, 3 / 4, 3 / 4 * 1 / 2, 3 / 8])
    np.testing.assert_allclose(found.without_near_ties.share, [1, 1, 3 / 4, 3 / 4, 3 / 4])
    assert found.differing.estimate == pytest.approx(3 / 14)
    above = found.survival.above_floor
    assert above is not None and above.floor.estimate == pytest.approx(1 / 11)  # the rollout with a lead of 0.01


def test_equal_logits_choose_the_lower_token() -> None:
    of = rollout([99, 50, 100], 0)
    assert reading(of, [0.0, 0.0, 0.0]).chosen.tolist() == [99, 50, 99]


def test_growth_recovers_an_amplification() -> None:
    """Divergences are twice as high on the candidate's rollout from step 5 on, and equal before."""
    random, n, steps = np.random.default_rng(0), 400, 8
    scale = random.lognormal(0, 0.5, n)[:, None]  # per document
    along = scale * random.exponential(0.1, (n, steps))
    own = scale * random.exponential(0.1, (n, steps)) * np.where(np.arange(steps) < 4, 1, 2)
    along[::7, 6:] = np.nan  # rollouts that ended
    rows = growth(along, own, along / 10, np.arange(n) // 2)
    assert [(r.first, r.last) for r in rows] == [(1, 1), (2, 2), (3, 4), (5, 8), (1, 8)]
    for row, expected in zip(rows, (1, 1, 1, 2, 1.5), strict=True):
        assert row.amplification.low < expected < row.amplification.high
        assert row.floor.estimate == pytest.approx(row.reference_path.estimate / 10)
        assert row.reference_path.estimate == pytest.approx(np.nanmean(along[:, row.first - 1 : row.last]))


def test_the_local_share() -> None:
    random, n = np.random.default_rng(3), 200
    local = random.exponential(0.1, (n, 4))
    rows = local_shares(local * np.array([1, 2, 4, 4]), local, np.arange(n))
    assert [row.local_share.estimate for row in rows[:3]] == [pytest.approx(x) for x in (1, 0.5, 0.25)]
    assert (rows[-1].first, rows[-1].last) == (1, 4)


def test_sequence_divergence_adds_up() -> None:
    random, n = np.random.default_rng(1), 300
    found = sequence_divergence(random.exponential(0.05, (n, 40)), np.arange(n))
    np.testing.assert_allclose(found.total, 0.05 * np.arange(1, 41), rtol=0.12)
    assert found.tellable.estimate == pytest.approx(math.ceil(math.log(2) / 0.05), abs=1)
    assert found.tellable.low <= found.tellable.estimate <= found.tellable.high
    assert found.advantage[-1] == pytest.approx(math.sqrt(1 - math.exp(-found.total[-1])))
    quiet = sequence_divergence(np.full((5, 4), 1e-3), np.arange(5))
    assert quiet.tellable.estimate == math.inf
    ends = sequence_divergence(np.array([[0.1, 0.1, np.nan], [0.3, np.nan, np.nan]]), np.arange(2))
    np.testing.assert_allclose(ends.total, [0.2, 0.25, 0.25])
    assert ends.band is None and ends.tellable.ends is None  # two documents are too few


def test_loops() -> None:
    assert loop_start(np.array([1, 2, 3] + [7] * 24)) == 3
    assert loop_start(np.array([9, 8] + [1, 2, 3, 4, 5] * 5)) == 2
    assert loop_start(np.array([7] * 23)) is None  # too short to be called one
    assert loop_start(np.array([7] * 30 + [1])) is None  # the loop ended
    assert loop_start(np.arange(200)) is None
    assert loop_start(np.array([*range(40)] * 2)) is None


def test_endings() -> None:
    reference = [rollout([1, 2, 3, 0], i, ended=True) for i in range(10)] + [rollout([5] * 40, 10)]
    own = [rollout([1, 2, 0], i, ended=True) for i in range(7)] + [rollout([4] * 40, i) for i in range(7, 11)]
    found = endings(own, reference)
    assert found.length_ratio.estimate == pytest.approx((7 * 3 + 4 * 40) / 80)
    assert (found.missing_ends.estimate, found.ended) == (pytest.approx(0.3), 10)
    assert (found.loops.estimate, found.reference_loops.estimate) == (pytest.approx(4 / 11), pytest.approx(1 / 11))
