"""Chats, driven by OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import numpy as np
import pytest

from bitwright.engine.ask import ask
from bitwright.server.service import Service

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
BIG = {"type": "json_schema", "json_schema": {"schema": {"enum": ["x" * (1 << 20)]}}}
GREEDY: dict[str, Any] = {"model": "smollm2", "messages": QUESTION, "temperature": 0, "max_tokens": 24}


def streamed(client: Any, **asked: Any) -> list[Any]:
    return list(client.chat.completions.create(**{**GREEDY, **asked}, stream=True))


def text_of(chunks: list[Any], index: int = 0) -> str:
    own = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in own)


def test_an_answer_is_what_the_model_says(openai: Any, service: Service) -> None:
    found = openai.chat.completions.create(**GREEDY)
    expected = ask(service.engine, QUESTION[0]["content"], max_tokens=24)
    (choice,) = found.choices
    assert choice.message.content == expected and choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length") and found.model == "smollm2"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert text_of(streamed(openai)) == expected


def test_a_stream_says_who_speaks_then_the_text_then_why_it_ended_and_the_count(openai: Any) -> None:
    chunks = streamed(openai, stream_options={"include_usage": True}, max_tokens=5)
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].finish_reason is None
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 5
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in streamed(openai, max_tokens=2))


def test_earlier_turns_are_not_read_again(openai: Any) -> None:
    first = openai.chat.completions.create(**GREEDY)
    said = {"role": "assistant", "content": first.choices[0].message.content}
    again = [*QUESTION, said, {"role": "user", "content": "And of Italy?"}]
    second = openai.chat.completions.create(**{**GREEDY, "messages": again})
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens


def test_a_seed_repeats_an_answer_and_several_choices_differ(openai: Any) -> None:
    drawn = {**GREEDY, "temperature": 1.5, "max_tokens": 12}
    one, two = (openai.chat.completions.create(**drawn, seed=7, n=2) for _ in range(2))
    texts = [choice.message.content for choice in one.choices]
    assert texts == [choice.message.content for choice in two.choices] and texts[0] != texts[1]
    assert one.usage.completion_tokens <= 24
    chunks = streamed(openai, temperature=1.5, max_tokens=12, seed=7, n=2)
    assert [text_of(chunks, index) for index in (0, 1)] == texts


def test_a_stop_string_ends_an_answer_before_it(openai: Any) -> None:
    whole = openai.chat.completions.create(**GREEDY).choices[0].message.content
    stop = whole[8:13]
    found = openai.chat.completions.create(**GREEDY, stop=[stop, "never"])
    assert found.choices[0].message.content == whole[: whole.index(stop)]
    assert found.choices[0].finish_reason == "stop"
    assert text_of(streamed(openai, stop=stop)) == whole[: whole.index(stop)]


def test_logprobs_are_the_models_own(openai: Any, service: Service) -> None:
    found = openai.chat.completions.create(**{**GREEDY, "max_tokens": 6}, logprobs=True, top_logprobs=3)
    drawn = found.choices[0].logprobs.content
    assert "".join(token.token for token in drawn) == found.choices[0].message.content and len(drawn) == 6
    template = service.template
    assert template is not None
    ids = template.encode(service.tokenizer, QUESTION)
    written = [service.tokenizer.encode(token.token, False)[0] for token in drawn]
    logits = service.engine.session().logits([*ids, *written])[len(ids) - 1 :].astype(np.float64)
    for token, row in zip(drawn, logits, strict=False):
        expected = np.sort(row - np.log(np.exp(row - row.max()).sum()) - row.max())[::-1][:3]
        np.testing.assert_allclose([other.logprob for other in token.top_logprobs], expected, atol=0.05)
        assert token.logprob == token.top_logprobs[0].logprob  # the likeliest was taken
    chunks = streamed(openai, max_tokens=6, logprobs=True, top_logprobs=3)
    again = [t for c in chunks for choice in c.choices if choice.logprobs for t in choice.logprobs.content]
    assert [token.token for token in again] == [token.token for token in drawn]


def test_a_bias_bans_and_demands_tokens(openai: Any, service: Service) -> None:
    first = openai.chat.completions.create(**{**GREEDY, "max_tokens": 1}).choices[0].message.content
    banned = service.tokenizer.encode(first, False)[0]
    other = openai.chat.completions.create(**{**GREEDY, "max_tokens": 1}, logit_bias={str(banned): -100})
    assert other.choices[0].message.content != first
    wanted = service.tokenizer.encode("Rome", False)[0]
    found = openai.chat.completions.create(**{**GREEDY, "max_tokens": 2}, logit_bias={str(wanted): 100})
    assert found.choices[0].message.content.startswith(service.tokenizer.decode([wanted]) * 2)


def test_roles_and_parts_of_content(openai: Any) -> None:
    pieces = [{"type": "text", "text": "What is"}, {"type": "text", "text": "one?"}]
    parts = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": pieces}]
    plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is\none?"}]
    texts = [
        openai.chat.completions.create(**{**GREEDY, "messages": m}).choices[0].message.content for m in (parts, plain)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "hi"}, 400, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, 400, "role"),
        ({"messages": QUESTION, "temperature": -1}, 400, "temperature"),
        ({"messages": QUESTION, "temperature": "warm"}, 400, "temperature"),
        ({"messages": QUESTION, "n": 1 << 60}, 400, "n:"),
        ({"messages": QUESTION, "stop": [""]}, 400, "stop"),
        ({"messages": QUESTION, "stop": ["x"] * 10_000}, 400, "stop"),
        ({"messages": QUESTION, "response_format": BIG}, 400, "characters"),
        ({"messages": QUESTION, "logit_bias": {"99999999": 1}}, 400, "logit_bias"),
        ({"messages": QUESTION, "tool_choice": "required"}, 400, "tool_choice"),
        ({"messages": QUESTION, "chat_template_kwargs": {"messages": []}}, 400, "chat_template_kwargs"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(web: httpx2.Client, body: dict[str, Any], status: int, says: str) -> None:
    answer = web.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, status, "invalid_request_error")
    assert says in error["message"] and "\n" not in error["message"]


def test_an_answer_of_no_tokens(openai: Any) -> None:
    (choice,) = openai.chat.completions.create(**{**GREEDY, "max_tokens": 0}).choices
    assert (choice.message.content, choice.finish_reason) == ("", "length")


def test_a_prompt_that_does_not_fit_is_refused_never_shortened(web: httpx2.Client) -> None:
    long = [{"role": "user", "content": "word " * 1100}]
    for stream in (False, True):
        answer = web.post("/v1/chat/completions", json={"messages": long, "stream": stream})
        error = answer.json()["error"]
        assert answer.status_code == 400 and error["type"] == "exceed_context_size_error"
        assert error["n_ctx"] == 1024 < error["n_prompt_tokens"]


def test_bodies_that_are_no_json(web: httpx2.Client) -> None:
    for body in (b"", b"{", b"[1]", b"[" * 100_000, b'{"x": 1e999}', b'{"x": NaN}', b"\xff\xfe", b'{"x": "\\ud800"}'):
        answer = web.post("/v1/chat/completions", content=body)
        assert answer.status_code == 400 and json.loads(answer.content)["error"]["type"] == "invalid_request_error"
