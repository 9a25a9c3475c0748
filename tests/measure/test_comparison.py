"""Rankings, fronts and the sentences about them, on known figures."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from measure.test_next_token import windows_of

from bitwright.measure import comparison, suite
from bitwright.measure.comparison import BITS, DIVERGENCE, Contender, compare
from bitwright.measure.contest import _unlike
from bitwright.measure.next_token import TokenScores
from bitwright.measure.suite import Evaluation, Identity
from bitwright.statistics.interval import TOO_LITTLE
from bitwright.views.ranking import headline, ranking

DOCUMENTS, TOKENS = 20, 30
WINDOWS = windows_of(np.ones((DOCUMENTS, TOKENS)))


def evaluation(name: str, size: int, divergences: np.ndarray, losses: np.ndarray | None = None) -> Evaluation:
    base = np.full((DOCUMENTS, TOKENS), 2.0)
    top = np.ones((DOCUMENTS, TOKENS), np.int32)
    scores = TokenScores(WINDOWS, base if losses is None else losses, base, divergences, top, top)
    ratio = scores.mean(scores.losses - scores.base_losses)
    return Evaluation(Identity(name, "", size, 4.5), {}, scores, scores.mean(divergences), scores.mean(scores.same_top),
                      ratio, suite.bits_per_byte(scores), suite.next_token.flips(scores), None, (),
                      tuple(suite.warnings(scores, ratio, ())))  # fmt: skip


def contender(name: str, size: int, mean: float, speed: float = 10.0, seed: int = 0) -> Contender:
    """Divergences around `mean`, where each document is equally hard for all contenders."""
    hard = np.random.default_rng(9).lognormal(0, 0.6, (DOCUMENTS, 1))
    noise = np.random.default_rng(seed).lognormal(0, 0.2, (DOCUMENTS, TOKENS))
    divergences = hard * noise * (mean / (hard * noise).mean())
    nats, sizes = np.full(DOCUMENTS, mean * 60.0), np.full(DOCUMENTS, 90.0)
    return Contender(
        Identity(name, "", size, 4.5),
        evaluation(name, size, divergences),
        nats,
        sizes,
        (0.95 * speed, speed, 1.05 * speed),
    )


def test_shared_documents_separate_pairs() -> None:
    """Each mean is known to a third, their paired difference to a hundredth."""
    a, b, c = contender("a", 3, 0.10), contender("b", 2, 0.11, seed=1), contender("c", 1, 0.1001, seed=2)
    found = compare([b, a, c], DIVERGENCE)
    assert [x.identity.name for x in found.contenders] == ["a", "c", "b"]
    assert found.quality(a).high > found.quality(b).low
    assert found.pair("a", "b").verdict == "better" and found.pair("a", "c").verdict == "cannot tell"
    sentences = ranking(found)
    assert headline(found) == "a, c cannot be told apart on this text"
    assert headline(compare([a, b], DIVERGENCE)).startswith("a is the best of 2, slightly to clearly damaged")
    assert sentences[0].startswith("a and c cannot be told apart")
    assert sentences[1].startswith("c is better than b by 0.0")
    assert "Worth their bytes (no other is smaller and has less KL divergence): a, c." in sentences
    assert "b is larger than c and worse." in sentences


def test_fronts() -> None:
    one, two, three = contender("a", 30, 0.1, speed=9), contender("b", 10, 0.2, 8), contender("c", 20, 0.3, 20)
    found = compare([one, two, three], DIVERGENCE)
    assert found.front_of_bytes == ("a", "b") and found.front_of_speed == ("a", "c")


def test_a_model_is_faster_if_all_its_timings_are() -> None:
    found = compare([contender("a", 30, 0.1, speed=9), contender("b", 10, 0.2, 9.5), contender("c", 20, 0.3, 11)],
                    DIVERGENCE)  # fmt: skip
    assert found.front_of_speed == ("a", "c")  # b's timings overlap with a's
    assert Contender(Identity("", "", 1, 16), None, np.array([1.0]), np.array([1.0]), (5, 9, 10, 900)).spread == (9, 10)


def test_the_reference_takes_part() -> None:
    """It is the best there is, so a larger file is never worth its bytes."""
    zeros = np.zeros((DOCUMENTS, TOKENS))
    nats, sizes = np.full(DOCUMENTS, 60.0), np.full(DOCUMENTS, 90.0)
    original = Contender(Identity("f", "", 98, 16), evaluation("f", 98, zeros), nats, sizes, (5.0,), is_reference=True)
    found = compare([contender("large", 105, 0.1), original, contender("small", 60, 0.2)], DIVERGENCE)
    assert [c.identity.name for c in found.contenders] == ["f", "large", "small"]
    assert found.front_of_bytes == ("f", "small") and [c.identity.name for c in found.candidates] == ["large", "small"]
    sentences = ranking(found)
    assert "Worth their bytes (no other is smaller and has less KL divergence): f (the reference), small." in sentences
    assert "large is larger than the reference, f, and worse." in sentences
    assert headline(found).startswith("large is the best of 2, ")
    assert not any(s.startswith("f is better") for s in sentences)


def test_the_reference_against_itself() -> None:
    class Stored:
        windows, about = WINDOWS, {"sha256": "s"}

        def chunk(self, index: int):
            return SimpleNamespace(losses=np.full(TOKENS, 2.0), top=np.ones(TOKENS, np.int32))

    found = suite.of_itself(Identity("f", "s", 1, 16), Stored(), None)
    assert found.divergence.ends == (0, 0) and found.same_top1.estimate == 1 and not found.warnings
    assert found.bits_per_byte.estimate == pytest.approx(2 / 3 / math.log(2))


def test_equal_file_names_are_told_apart() -> None:
    assert (
        _unlike(["m.gguf"], Path("/x/a/n.gguf")) == "n.gguf" and _unlike(["m.gguf"], Path("/x/a/m.gguf")) == "a/m.gguf"
    )
    assert _unlike(["m.gguf", "a/m.gguf"], Path("/x/a/m.gguf")) == "x/a/m.gguf"


def test_other_tokenizers_are_compared_per_byte_of_text() -> None:
    """Two tokenizers cut one text differently; they share the documents."""
    a = Contender(Identity("a", "", 2, 16), None, np.array([40.0, 0, 60.0]), np.array([50.0, 0, 70.0]), (10,))
    b = Contender(Identity("b", "", 1, 16), None, np.array([55.0, 3, 80.0, 9]), np.array([52.0, 4, 69.0, 8]), (10,))
    assert a.bits_per_byte.estimate == pytest.approx(100 / 120 / math.log(2))
    difference = comparison.between(BITS, a, b)
    of = [(40 / 50 - 55 / 52) / math.log(2), (60 / 70 - 80 / 69) / math.log(2)]
    assert difference.estimate == pytest.approx((of[0] * 102 + of[1] * 139) / 241) and difference.ends is None
    original = Contender(Identity("f", "", 2, 16), None, a.nats, a.sizes, (10,), is_reference=True)
    assert headline(compare([original], BITS)).startswith("Only the reference was given")
    alone = headline(compare([original, b], BITS))
    assert alone == "b: too little text to say whether it is better than the reference"
    found = compare([a, b], BITS)
    assert found.pairs[0].verdict == TOO_LITTLE and ranking(found)[0].startswith("Too little text to say whether a is")
    assert headline(found) == "Too little text to say which is better: 2 documents, an interval needs 10"
    assert not any("told apart" in sentence for sentence in ranking(found))


def test_a_model_with_another_tokenizer_against_the_reference() -> None:
    sizes = np.full(DOCUMENTS, 90.0)
    noise = np.random.default_rng(3).normal(0, 1, DOCUMENTS)

    def said(change: float) -> str:
        reference = Contender(Identity("f", "", 9, 16), None, 60 + noise, sizes, (5.0,), is_reference=True)
        other = Contender(Identity("o", "", 9, 16), None, 60 + noise[::-1] + change, sizes, (5.0,))
        return headline(compare([other, reference], BITS))

    assert said(9) == "o: worse than the reference" and said(-9) == "o: better than the reference"
    assert said(0.1) == "o: cannot be told apart from the reference"


def test_bits_per_byte() -> None:
    e = evaluation("a", 1, np.zeros((DOCUMENTS, TOKENS)))
    assert e.bits_per_byte.estimate == pytest.approx(2 / 3 / math.log(2))  # 2 nats a token of 3 bytes


def test_a_perplexity_below_the_reference_gives_a_warning() -> None:
    zeros = np.zeros((DOCUMENTS, TOKENS))
    noise = np.random.default_rng(0).normal(0, 0.3, zeros.shape)
    assert not evaluation("a", 1, zeros, np.full(zeros.shape, 2.1)).warnings
    (sure,) = evaluation("a", 1, zeros, 1.8 + noise).warnings
    assert "below the reference's" in sure and "calibrated on this text?" in sure
    (unsure,) = evaluation("a", 1, zeros, 2 + noise - noise.mean() - 1e-4).warnings
    assert "which chance can explain" in unsure
