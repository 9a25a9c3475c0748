"""The probe of ends: on a small model whose turns end with its sentences."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.measure.horizon import endings
from bitwright.measure.softmax import log_probabilities
from bitwright.model.chat import ChatTemplate
from bitwright.views.horizon import in_words, of_ending


@pytest.fixture
def chatty(models, monkeypatch):
    """The story models with a template, in which a full stop ends a turn."""
    stop = models["f32"].tokenizer.encode("a.", add_special_tokens=False)[-1]
    template = ChatTemplate({"default": "{{ messages[0].content }}"}, {})
    monkeypatch.setattr(type(models["f32"].model), "chat_template", template)
    for engine in models.values():
        monkeypatch.setattr(engine.tokenizer, "end_of_generation", frozenset({stop}))
    starts = [f"{start} {noun}" for start in ("The", "One", "A small") for noun in ("dog", "boy", "cat", "girl")]
    monkeypatch.setattr(endings, "QUESTIONS", tuple(starts))
    monkeypatch.setattr(endings, "ASKS", ("{}",))
    monkeypatch.setattr(endings, "LONGEST", 48)
    return models, stop


def test_the_probability_of_an_end_at_its_place(chatty, monkeypatch) -> None:
    models, stop = chatty
    (found,) = endings.probe(models["f32"], models["q4_0"])
    assert found.what == "turn" and found.asked == 12 and 10 <= found.places <= 12
    assert found.difference.estimate == pytest.approx(found.candidate.estimate - found.original.estimate)
    assert found.original.estimate > found.candidate.estimate and found.ends.estimate < 1
    assert in_words(found).startswith(f"Where the original ends its turn ({found.places} of 12 answers), it gives that")
    assert of_ending(found)["difference"]["of"] == "answers"
    (same,) = endings.probe(models["f32"], models["f32"])
    assert same.difference.estimate == 0 and same.ends.estimate == 1
    ids = models["f32"].chat_template.encode(models["f32"].tokenizer, endings.items()[0].messages)
    session = models["f32"].session()
    logits = session.prefill(ids)
    while (token := int(logits.argmax())) != stop:
        ids.append(token)
        logits = session.step(token)
    expected = np.exp(log_probabilities(models["q4_0"].session().prefill(ids))[stop])
    monkeypatch.setattr(endings, "QUESTIONS", endings.QUESTIONS[:1])
    assert endings.probe(models["f32"], models["q4_0"])[0].candidate.estimate == pytest.approx(expected, rel=1e-6)


def test_a_thought_ends_before_its_turn(chatty, monkeypatch) -> None:
    models, stop = chatty
    monkeypatch.setattr(endings, "closing_tokens", lambda tokenizer: {stop})
    for engine in models.values():
        monkeypatch.setattr(engine.tokenizer, "end_of_generation", frozenset())
    (found,) = endings.probe(models["f32"], models["q4_0"])
    assert found.what == "thought" and found.places >= 10


def test_a_base_model_has_no_turns(models) -> None:
    assert endings.probe(models["f32"], models["q4_0"]) == []


def test_closing_tokens_are_whole_tokens(models) -> None:
    class Special:
        def encode(self, text: str, **_: object) -> list[int]:
            return [7] if text == "</think>" else [1, 2, 3]

    assert endings.closing_tokens(Special()) == {7} and endings.closing_tokens(models["f32"].tokenizer) == set()
