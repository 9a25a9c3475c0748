"""The sentence on top of every report says what the intervals say, and keeps "no difference" from "no interval"."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from measure.test_next_token import windows_of

from bitwright.measure import next_token, suite
from bitwright.measure.next_token import TokenScores
from bitwright.measure.noise_floor import NoiseFloor, Variation
from bitwright.measure.suite import Evaluation, Identity
from bitwright.statistics.interval import Interval
from bitwright.statistics.survival import Runs, survive
from bitwright.views.headline import headline, standing, tokens_changed
from bitwright.views.horizon import _spread
from bitwright.views.verdict import verdict

TOKENS = 400
FLOOR = NoiseFloor((Variation("another tier", 1e-5, 0.99, 100),))


def evaluation(chunks: int, changed: float, nats: float, loss: float = 0.0, spread: float = 0.02) -> Evaluation:
    """`changed` of the tokens are another, each costs `nats`, `loss` is lost on the text; both vary by document."""
    random = np.random.default_rng(0)
    hard = 1 + spread * random.standard_normal((chunks, 1))
    base = np.full((chunks, TOKENS), 2.0)
    other = (np.arange(TOKENS) < np.round(changed * TOKENS * hard)).astype(np.int32)
    divergences = np.broadcast_to(nats * hard, base.shape)
    losses = base + loss * np.broadcast_to(hard, base.shape)
    scores = TokenScores(windows_of(np.ones(base.shape)), losses, base, divergences, 1 + other, np.ones_like(other))
    ratio = scores.mean(losses - base)
    return Evaluation(Identity("m", "", 1, 4.5), {}, scores, scores.mean(divergences), scores.mean(scores.same_top),
                      ratio, suite.bits_per_byte(scores), next_token.flips(scores), FLOOR, (),
                      tuple(suite.warnings(scores, ratio, ())))  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "nats", "said"),
    [
        (0.0, 2e-6, "not distinguishable from the original on this text"),
        (0.005, 1e-3, "hardly damaged: one token in 200 is another"),
        (0.05, 0.02, "slightly damaged: one token in 20 is another"),
        (0.125, 0.08, "clearly damaged: one token in eight is another"),
        (0.25, 0.24, "heavily damaged: one token in four is another"),
        (
            0.01,
            0.8,
            "heavily damaged: its probabilities are 0.80 nats per token off, though one token in 100 is another",
        ),
    ],
)
def test_a_loss_in_words(changed: float, nats: float, said: str) -> None:
    found = evaluation(20, changed, nats)
    assert headline(found) == said
    assert said.startswith(standing(found))


def test_a_wide_interval_names_both_levels() -> None:
    assert standing(evaluation(20, 0.08, 0.02, spread=0.3)) == "slightly to clearly damaged"


def test_too_little_text_is_not_no_difference() -> None:
    found = evaluation(4, 0.25, 0.24, loss=0.165)
    said = " ".join([headline(found), *verdict(found), *found.warnings])
    assert headline(found).startswith("too little text to say how much was lost: 4 chunks of ")
    assert "needs 10 (about 24 kB of text)" in headline(found) and headline(found).endswith(
        "one token in four is another"
    )
    assert "Its perplexity on this text is 18.01% higher; too little text for an interval." in verdict(found)
    assert "told apart" not in said and "distinguishable" not in said and "too narrow" not in said
    assert "chance can explain" not in " ".join(evaluation(4, 0.25, 0.24, loss=-0.1).warnings)


def test_no_difference_needs_an_interval() -> None:
    same = evaluation(20, 0.25, 0.24, loss=0.01, spread=5)
    assert any(s.startswith("Its perplexity cannot be told apart from the reference's: -") for s in verdict(same))
    worse = evaluation(20, 0.25, 0.24, loss=0.165)
    assert any(s.startswith("Its perplexity is 1") and "higher (1" in s for s in verdict(worse))


def test_shares_of_tokens() -> None:
    said = {0: "no token is another", 0.0004: "one token in 2,500 is another", 0.5: "one token in two is another",
            0.68: "two tokens in three are others", 0.9: "nine tokens in ten are others",
            1.0: "nearly every token is another"}  # fmt: skip
    assert {share: tokens_changed(share) for share in said} == said


def test_texts_in_words() -> None:
    """One token is singular, and a floor that cannot be told from for want of texts is not "not distinguishable"."""
    same, few = (survive(Runs([1] * n, [1] * n), 8, Runs([1] * n, [0] * n)) for n in (12, 4))
    found = evaluation(20, 0.25, 0.24)
    said = [verdict(replace(found, compounding=SimpleNamespace(first_divergence=SimpleNamespace(survival=s))))
            for s in (same, few)]  # fmt: skip
    assert (
        "12 of 12 greedy texts of up to 8 tokens differ from the reference's, half of them within 1 token (1 to 1)."
        in (said[0])
    )
    assert "That is too little text to tell from the reference's own noise." in said[1]
    assert _spread(Interval(7.5, None, 4, "", "prompts"), 1) == "7.5 (too few prompts for an interval)"
