"""Bodies that no client should send: an answer or an error of the client's, never one of ours."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bitwright.server.gaps import Gaps
from bitwright.server.service import Service

BODIES = int(os.environ.get("BITWRIGHT_FUZZ_BODIES", "120"))  # for each path
MESSAGE = {"role": "user", "content": "hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
TEXT = {"type": "text", "text": "x"}
CONVERSATION: dict[str, Any] = {
    "model": "m", "max_tokens": 1, "system": [TEXT], "stop_sequences": ["x"], "temperature": 0.5, "stream": True,
    "messages": [MESSAGE, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}, TEXT,
                           {"type": "tool_use", "id": "c", "name": "f", "input": {"a": "x"}}]},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [TEXT]}, TEXT]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "bash_1", "name": "bash"}],
    "tool_choice": {"type": "auto"}, "thinking": {"type": "enabled"}, "metadata": {"user_id": "u"},
    "output_config": {"effort": "low"},
}  # fmt: skip
VALID: dict[str, dict[str, Any]] = {
    "/v1/messages": CONVERSATION,
    "/v1/messages/count_tokens": CONVERSATION,
    "/v1/responses": {
        "model": "m", "instructions": "x", "max_output_tokens": 1, "store": True, "metadata": {"a": "b"}, "user": "u",
        "input": [{"role": "user", "content": [TEXT]}, {"type": "reasoning", "summary": [TEXT], "content": [TEXT]},
                  {"type": "message", "role": "assistant", "content": "x"},
                  {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                  {"type": "function_call_output", "call_id": "c", "output": "x"}],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "web_search"}],
        "tool_choice": "auto", "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"}, "stream": False,
    },
    "/v1/embeddings": {"input": ["a", "b"], "model": "m", "encoding_format": "float", "dimensions": 576},
    "/v1/chat/completions": {
        "model": "m", "messages": [MESSAGE, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                                   {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}]}],
        "tools": [TOOL], "tool_choice": "auto", "temperature": 0.5, "top_p": 0.9, "n": 1, "stop": ["x"], "seed": 1,
        "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "max_tokens": 1, "stream": True, "user": "u",
        "stream_options": {"include_usage": True}, "response_format": {"type": "text"}, "frequency_penalty": 0.1,
    },
    "/v1/completions": {"prompt": ["a", "b"], "suffix": None, "echo": True, "logprobs": 1, "max_tokens": 1, "n": 1},
    "/completion": {"prompt": ["a", 5], "n_predict": 1, "n_probs": 2, "stream": True, "logit_bias": [[5, False]]},
    "/infill": {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"filename": "f", "text": "t"}]},
    "/tokenize": {"content": "a", "with_pieces": True},
    "/detokenize": {"tokens": [1, 2]},
    "/apply-template": {"messages": [MESSAGE], "chat_template_kwargs": {"a": 1}},
}  # fmt: skip
WRONG: list[Any] = [
    None, True, 0, -1, 1 << 70, -(1 << 70), 0.5, 5e-324, 1e308, float("nan"), float("-inf"),
    "", "x", "\x00", "\ud800", "5" * 5000, [], [None], {}, {"": {}},
    {"type": "function"}, [[[[[]]]]], [MESSAGE], {"role": "user"}, "\u202e", [1, "a", None], {"a": "b"},
    json.loads("[" * 120 + "]" * 120), "[" * 300 + "]" * 300,
]  # fmt: skip


@pytest.fixture
def brief(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No answer has more than a token, and the model has tokens for filling gaps."""
    settings = service.settings
    monkeypatch.setattr(service, "gaps", Gaps(prefix=5, suffix=6, middle=7, separator=None))
    monkeypatch.setattr(service, "settings", lambda asked, limit, *more: settings(asked, 1, *more))
    yield


def damaged(value: Any, chance: random.Random) -> Any:
    """A JSON value in which one thing is replaced, removed, added or repeated."""
    value = copy.deepcopy(value)
    places = list(everything(value))
    container, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[chance.choice(["messages", "prompt", "x", "schema", "stop", "n", "self"])] = copy.deepcopy(
                chance.choice(WRONG)
            )
        case 2 if isinstance(container, list):
            container += [container[key]] * chance.choice([1, 50])
        case _:
            container[key] = copy.deepcopy(chance.choice(WRONG))
    return value


def everything(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from everything(value[key])


@pytest.mark.parametrize("path", VALID)
def test_damaged_requests_are_answered_without_an_error_of_ours(brief: None, web: httpx2.Client, path: str) -> None:
    chance = random.Random(path)
    for number in range(BODIES):
        body = VALID[path]
        for _ in range(chance.randint(1, 3)):
            body = damaged(body, chance) if body else body
        answer = web.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code < 500, (number, body, answer.text)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert error["message"] and "\n" not in error["message"] and len(error["message"]) < 600
        else:
            assert '"server_error"' not in answer.text, (number, body, answer.text)
