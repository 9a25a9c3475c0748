"""Proposals that are judged later, invented and real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, load
from bitwright.measure.rollout.planner import judged, measure_planning
from bitwright.measure.rollout.writing import Chooser, Prompt, write


def test_a_planner_as_good_as_the_judge_has_no_excess() -> None:
    """Of 200 intervals at each step, 92% to 99% contain zero."""
    held = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        theirs, own = random.exponential(1, (2, 60, 8))
        theirs[::2, 0] = own[::2, 0]
        rows = judged(theirs, own, np.arange(60) // 2).rows[1:]
        held.append([row.excess.low <= 0 <= row.excess.high for row in rows])
    assert np.all(np.abs(np.mean(held, 0) - 0.955) <= 0.035), np.mean(held, 0)


def test_bad_proposals_that_the_first_step_hides() -> None:
    """Each later step of the planner costs 0.2 nats more. The first shows nothing; every second one is equal."""
    random, n = np.random.default_rng(1), 4000
    theirs, own = random.exponential(1, (2, n, 16))
    theirs[::2, 0], theirs[1::2, 0] = own[::2, 0], own[1::2, 0] + random.choice([-1, 1], n // 2)
    theirs[:, 1:] += 0.2
    found = judged(theirs, own, np.arange(n))
    assert (found.proposals, [row.step for row in found.rows]) == (n, [1, 2, 4, 8, 16])
    assert found.alike == n // 2
    assert found.rows[0].worse.estimate == 0
    excess = [row.excess.estimate for row in found.rows]
    assert excess == sorted(excess) and found.rows[-1].excess.low > 0
    growth = found.rows[-1].regret.estimate - found.rows[-2].regret.estimate
    assert growth == pytest.approx(8 * 0.2, abs=4 * np.sqrt(8 * 2 / found.alike))


def test_texts_that_end_cost_no_more() -> None:
    theirs = np.array([[1.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    found = judged(theirs, np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]), np.arange(2))
    assert found.alike == 1 and found.rows[-1].better.estimate == 1 and found.rows[-1].regret.estimate == -2


def test_any_two_models(models: dict[str, Engine], prompts: list[Prompt], smollm2: Path) -> None:
    """A worse copy of the judge, and a model with another tokenizer that was not trained on children's stories."""
    own = write(models["f32"], prompts, 24, Chooser(1.0, 2))
    assert measure_planning(models["f32"], models["f32"], own).rows[-1].worse.estimate == 0
    worse = measure_planning(models["f32"], models["q4_0"], own)
    assert worse.rows[-1].regret.estimate > 0
    stranger = measure_planning(models["f32"], load(smollm2, context=96), own, tolerance=3.0)
    assert 0 < stranger.alike < stranger.proposals == 20
    assert stranger.rows[-1].regret.estimate > worse.rows[-1].regret.estimate
