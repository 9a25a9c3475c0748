"""Rollouts: what one pass predicts of a candidate is what it does when it runs free."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.engine import Engine
from bitwright.errors import UsageError
from bitwright.measure.rollout import writing
from bitwright.measure.rollout.reading import divergences, predicting, read
from bitwright.measure.rollout.writing import GREEDY, Chooser, Prompt, write

STEPS = 48


@pytest.mark.parametrize("chooser", [GREEDY, Chooser(1.0, seed=5)], ids=["greedy", "sampled"])
@pytest.mark.parametrize(("candidate", "at_least"), [("q8_0", 1), ("q4_0", 10)])
def test_the_first_divergence_is_that_of_running_free(
    models: dict[str, Engine], prompts: list[Prompt], chooser: Chooser, candidate: str, at_least: int
) -> None:
    reference = write(models["f32"], prompts, STEPS, chooser)
    free = write(models[candidate], prompts, STEPS, chooser)
    session = models[candidate].session()
    parted = 0
    for rollout, own in zip(reference, free, strict=True):
        reading = read(session, rollout)
        first = reading.first_divergence
        shared = len(rollout) if first is None else first - 1
        np.testing.assert_array_equal(own.tokens[:shared], rollout.tokens[:shared])
        if first is None:
            assert len(own) == len(rollout)
        else:
            assert own.tokens[first - 1] == reading.chosen[first - 1] != rollout.tokens[first - 1]
            parted += 1
    assert parted >= at_least


def test_a_model_reads_its_text_as_it_wrote_it(models: dict[str, Engine], prompts: list[Prompt]) -> None:
    for rollout in write(models["q4_0"], prompts[:4], STEPS, Chooser(0.7, 3), keep=True):
        reading = read(models["q4_0"].session(), rollout)
        assert reading.first_divergence is None
        np.testing.assert_allclose(reading.losses, rollout.losses, atol=1e-3)
        np.testing.assert_allclose(reading.leads, rollout.leads, atol=1e-3)
        assert reading.divergences is not None
        np.testing.assert_allclose(reading.divergences, 0, atol=1e-5)


def test_text_does_not_depend_on_other_sequences(
    models: dict[str, Engine], prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen at once or three; a slot is reused when its text ends, here at a full stop."""
    tokenizer = models["f32"].tokenizer
    monkeypatch.setattr(tokenizer, "end_of_generation", {tokenizer.encode("He ran.")[-1]})
    together = write(models["f32"], prompts, 20, Chooser(1.0, 1))
    monkeypatch.setattr("bitwright.measure.together.TOGETHER", 3)
    for a, b in zip(together, write(models["f32"], prompts, 20, Chooser(1.0, 1)), strict=True):
        np.testing.assert_array_equal(a.tokens, b.tokens)
    lengths = [len(rollout) for rollout in together]
    assert min(lengths) < max(lengths) == 20
    assert all(rollout.ended == (rollout.tokens[-1] in tokenizer.end_of_generation) for rollout in together)


def test_kept_predictions_give_the_divergence(
    models: dict[str, Engine], prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampled value is within four standard errors; the exact one equals plain sums."""
    monkeypatch.setattr(writing, "KEPT", 64)
    reference, candidate = models["f32"].session(), models["q4_0"].session()
    rollout = write(models["f32"], prompts[:1], STEPS, keep=True)[0]
    exact, losses = divergences(reference, candidate, rollout)
    np.testing.assert_allclose(losses, rollout.losses, rtol=1e-5, atol=1e-6)
    kept = read(candidate, rollout).divergences
    assert kept is not None and rollout.predictions is not None and rollout.predictions.kept == 64
    ours, theirs = (
        np.concatenate([x for _, x in predicting(s, rollout)]).astype(float) for s in (reference, candidate)
    )
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (ours, theirs))
    variances = rollout.predictions.divergence(theirs.astype(np.float32))[1]
    np.testing.assert_array_less(np.abs(kept - exact), 4 * np.sqrt(variances) + 1e-6)
    np.testing.assert_allclose(exact, (p * np.log(p / q)).sum(1), rtol=1e-5, atol=1e-8)


def test_draws_follow_the_softmax() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    chooser = Chooser(1.0, seed=9)
    drawn = np.bincount([chooser(logits, 0, step) for step in range(4000)]) / 4000
    np.testing.assert_allclose(drawn, [0.5, 0.3, 0.2], atol=4 * math.sqrt(0.25 / 4000))
    assert GREEDY(logits, 0, 0) == 0
    assert GREEDY.lead(logits, 1, 0, 0) == (pytest.approx(math.log(0.3 / 0.5)), 0)


def test_a_context_without_room(models: dict[str, Engine], prompts: list[Prompt]) -> None:
    with pytest.raises(UsageError, match="do not fit the model's context of 96"):
        write(models["f32"], prompts, 90)
