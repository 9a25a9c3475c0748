"""Completions: text that goes on, and text that is scored as evaluation harnesses ask for it."""

from __future__ import annotations

from typing import Any

import httpx2
import numpy as np
import pytest

from bitwright.server.generation import log_softmax
from bitwright.server.service import Service

PROMPT = "The capital of France is"
GREEDY: dict[str, Any] = {"model": "smollm2", "prompt": PROMPT, "temperature": 0, "max_tokens": 8}


def test_text_goes_on_whole_and_streamed_from_text_and_from_ids(openai: Any, service: Service) -> None:
    whole = openai.completions.create(**GREEDY).choices[0]
    assert whole.text.startswith(" Paris") and whole.finish_reason == "length"
    chunks = list(openai.completions.create(**GREEDY, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    ids = service.tokenizer.encode(PROMPT)
    assert openai.completions.create(**{**GREEDY, "prompt": ids}).choices[0].text == whole.text


def test_a_streams_log_probabilities_are_those_of_the_whole(openai: Any) -> None:
    asked = {**GREEDY, "prompt": [PROMPT, "One, two,"], "logprobs": 1}
    whole = openai.completions.create(**asked).choices
    chunks = [chunk.choices[0] for chunk in openai.completions.create(**asked, stream=True)]
    for choice in whole:
        parts = [own.logprobs for own in chunks if own.index == choice.index and own.logprobs is not None]
        for key in ("tokens", "text_offset"):
            assert [value for part in parts for value in getattr(part, key)] == getattr(choice.logprobs, key)
    assert whole[0].logprobs.text_offset[-1] > 0


def test_several_prompts_are_answered_in_their_order(openai: Any) -> None:
    prompts = [PROMPT, "One, two, three,", "def add(a, b):\n    return"]
    together = openai.completions.create(**{**GREEDY, "prompt": prompts, "n": 2, "max_tokens": 4})
    assert [choice.index for choice in together.choices] == list(range(6))
    alone = [openai.completions.create(**{**GREEDY, "prompt": own, "max_tokens": 4}).choices[0].text for own in prompts]
    assert [choice.text for choice in together.choices[::2]] == alone


def test_echo_scores_every_token_of_the_prompt(openai: Any, service: Service) -> None:
    """What lm-eval's local-completions sends."""
    text = PROMPT + " Paris. It lies on the Seine, as everyone knows who has been there."
    asked = {
        "model": "smollm2",
        "prompt": [text, PROMPT],
        "echo": True,
        "logprobs": 1,
        "max_tokens": 1,
        "temperature": 0,
    }
    found = openai.completions.create(**asked)
    for choice, own in zip(found.choices, [text, PROMPT], strict=True):
        ids = service.tokenizer.encode(own)
        scored = choice.logprobs
        assert len(scored.tokens) == len(ids) + 1 and choice.text.startswith(own)
        assert scored.token_logprobs[0] is None and scored.top_logprobs[0] is None
        expected = log_softmax(service.engine.session().logits(ids))
        given = scored.token_logprobs[1 : len(ids)]
        np.testing.assert_allclose(given, expected[np.arange(len(ids) - 1), ids[1:]], atol=0.02)
        likeliest = [next(iter(top.values())) for top in scored.top_logprobs[1 : len(ids)]]
        np.testing.assert_allclose(likeliest, expected[:-1].max(1), atol=0.02)
        assert "".join(scored.tokens) == choice.text
        assert [
            choice.text[at : at + len(t)] for at, t in zip(scored.text_offset, scored.tokens, strict=True)
        ] == scored.tokens


def test_echo_without_a_token_more(openai: Any, service: Service) -> None:
    found = openai.completions.create(model="smollm2", prompt=PROMPT, echo=True, logprobs=5, max_tokens=0).choices[0]
    ids = service.tokenizer.encode(PROMPT)
    assert found.text == PROMPT and len(found.logprobs.tokens) == len(ids)
    assert all(len(top) == 5 for top in found.logprobs.top_logprobs[1:])
    assert openai.completions.create(model="smollm2", prompt=PROMPT, max_tokens=0).choices[0].text == ""


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"prompt": ""}, 400, "empty"),
        ({"prompt": []}, 400, "prompt"),
        ({"prompt": [[]]}, 400, "empty"),
        ({"prompt": [99999999]}, 400, "token ids"),
        ({"prompt": [-1]}, 400, "token ids"),
        ({"prompt": {"a": 1}}, 400, "prompt"),
        ({"prompt": "x", "echo": True, "stream": True}, 400, "echo"),
        ({"prompt": "x", "suffix": "y"}, 400, "no token for"),
        ({"prompt": ["x"] * 300}, 400, "256"),
        ({"prompt": "x", "max_tokens": -2}, 400, "max_tokens"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(web: httpx2.Client, body: dict[str, Any], status: int, says: str) -> None:
    answer = web.post("/v1/completions", json=body)
    assert answer.status_code == status and says in answer.json()["error"]["message"]
