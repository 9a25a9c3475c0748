"""The whole measurement on real models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, load
from bitwright.errors import UsageError
from bitwright.measure.rollout import history
from bitwright.measure.rollout.baseline import Baseline, baseline, prompts_of
from bitwright.measure.rollout.compounding import measure_compounding
from bitwright.measure.rollout.free_running import parting
from bitwright.measure.rollout.history import divergences_on_reference_history
from bitwright.measure.rollout.reading import divergences
from bitwright.measure.rollout.writing import Prompt, fitted

STEPS = 40


@pytest.fixture(scope="module")
def base(models: dict[str, Engine], prompts: list[Prompt]) -> Baseline:
    return baseline(models["f32"], prompts, STEPS, seed=1)


def test_a_reference_is_as_good_as_itself(base: Baseline) -> None:
    found = measure_compounding(base, base.engine)
    assert found.first_divergence.survival.events == found.sampled_first_divergence.survival.events == 0
    assert found.sequence.tellable.estimate == np.inf and abs(found.sequence.total[-1]) < 1e-4
    assert found.free is not None and found.free.verification.exceptions == [] and found.free.examples == []
    assert found.free.endings.length_ratio.estimate == 1
    assert found.free.planning.alike == 20
    assert all(row.worse.estimate == row.better.estimate == 0 for row in found.free.planning.rows)
    assert found.local is not None and abs(found.local[-1].reference_history.estimate) < 1e-6


def test_damage_is_detected_and_the_pass_agrees_with_running_free(base: Baseline, models: dict[str, Engine]) -> None:
    small, large = (measure_compounding(base, models[name]) for name in ("q8_0", "q4_0"))
    assert small.free is not None and large.free is not None and large.local is not None
    for found in (small, large):
        assert found.free is not None and found.free.verification.exceptions == []
        assert found.free.verification.rollouts == found.prompts == 20
    assert (
        small.first_divergence.survival.restricted_mean.estimate
        > large.first_divergence.survival.restricted_mean.estimate
    )
    assert large.sequence.total[-1] > 10 * small.sequence.total[-1] > 0
    above = large.first_divergence.survival.above_floor
    assert above is not None and above.distinguishable
    total = large.free.growth[-1]
    assert (
        total.floor.estimate
        < total.reference_path.estimate
        == pytest.approx(large.sequence.total[-1] / STEPS, rel=1e-6)
    )
    assert 0 < large.local[-1].local_share.estimate < 1.5
    shown = large.free.examples[0]
    assert shown.reference != shown.candidate and shown.before


def test_the_references_history_written_out(base: Baseline, models: dict[str, Engine]) -> None:
    """Compared with the definition: for every step, the reference reads all tokens except the last, and the candidate
    continues from that memory and reads the last."""
    candidate = fitted(models["q4_0"], base.engine.context)
    rollouts = [base.sampled.rollouts[i] for i in (0, 7)]
    found = divergences_on_reference_history(base.engine, candidate, rollouts)
    for rollout, row in zip(rollouts, found, strict=True):
        assert row.shape == (STEPS,)
        for step in range(0, STEPS, 7):
            ids = rollout.ids[: len(rollout.prompt.ids) + step]
            ours, theirs = base.engine.session(), candidate.session()
            ours.extend(ids[:-1], [])
            theirs.adopt(ours)
            p, q = (np.exp(x.step(int(ids[-1])).astype(float)) for x in (ours, theirs))
            p, q = p / p.sum(), q / q.sum()
            assert row[step] == pytest.approx((p * np.log(p / q)).sum(), rel=1e-3, abs=1e-6)
    assert not np.allclose(found[0], divergences(base.engine.session(), candidate.session(), rollouts[0])[0], rtol=0.05)


def test_similar_continuations(models: dict[str, Engine]) -> None:
    assert history.alike(models["f32"], models["q4_0"])
    assert not history.alike(models["f32"], models["f32"].replace(kv="q8_0"))


def test_parting() -> None:
    from test_horizon import rollout

    assert parting(rollout([1, 2, 3], 0), rollout([1, 2, 3], 0)) is None
    assert parting(rollout([1, 2, 3], 0), rollout([1, 5, 3], 0)) == 2
    assert parting(rollout([1, 2], 0, ended=True), rollout([1, 2, 3], 0)) == 3


def test_prompts_are_spread_over_documents(models: dict[str, Engine], data: Path) -> None:
    text = (data / "text/tinystories/tiny.utf8").read_text()
    prompts = prompts_of(models["f32"].tokenizer, text, 10, 16)
    assert len({p.document for p in prompts}) == 10
    assert len({p.document for p in prompts_of(models["f32"].tokenizer, text[:2000], 10, 16)}) == 10
    assert all(len(p.ids) == 16 and p.ids[0] == models["f32"].tokenizer.bos for p in prompts)


def test_wrong_calls(base: Baseline, models: dict[str, Engine], smollm2: Path) -> None:
    with pytest.raises(UsageError, match="at least one prompt"):
        baseline(models["f32"], [])
    with pytest.raises(UsageError, match="share a tokenizer"):
        measure_compounding(base, load(smollm2, context=96))
    with pytest.raises(UsageError, match="same documents"):
        floor = replace(base.greedy, floor=base.greedy.floor[:5])
        measure_compounding(replace(base, greedy=floor), models["q4_0"], free=False, local=False)
