"""Answers held to a schema or to a call, through every interface that chats."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import SIGNS

from bitwright.model.replies import reply_format
from bitwright.server.service import Service

SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"],
          "additionalProperties": False}  # fmt: skip
ASK = [{"role": "user", "content": "Which city?"}]
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}


@pytest.fixture
def calling(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 calls no tools by itself; held to a call, it writes one."""
    monkeypatch.setattr(service, "format", reply_format(SIGNS))


def of_schema(found: str | dict[str, Any]) -> bool:
    return (json.loads(found) if isinstance(found, str) else found) in ({"city": "Paris"}, {"city": "Rome"})


def test_an_answer_fits_its_schema(openai: Any, anthropic: Any) -> None:
    format = {"type": "json_schema", "name": "city", "schema": SCHEMA}
    chat = openai.chat.completions.create(
        model="", messages=ASK, response_format={"type": "json_schema", "json_schema": format}, max_tokens=40
    )
    assert of_schema(chat.choices[0].message.content)
    response = openai.responses.create(model="", input=ASK, text={"format": format}, max_output_tokens=40)
    assert of_schema(response.output_text) and response.text.format.name == "city"
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    message = anthropic.messages.create(model="", messages=ASK, output_config=wanted, max_tokens=40)
    assert of_schema(message.content[0].text)


def test_a_call_that_is_demanded_is_written(calling: None, openai: Any, anthropic: Any) -> None:
    """The first of them; a model this small goes on calling."""
    function, limit = {"type": "function", "function": WEATHER}, 60
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        chat = openai.chat.completions.create(
            model="", messages=ASK, tools=[function], tool_choice=choice, temperature=0, max_tokens=limit
        )
        assert of_schema(chat.choices[0].message.tool_calls[0].function.arguments)
    tools = [{"type": "function", **WEATHER}]
    for choice in ("required", {"type": "function", "name": "weather"}):
        response = openai.responses.create(
            model="", input=ASK, tools=tools, tool_choice=choice, temperature=0, max_output_tokens=limit
        )
        assert of_schema(response.output[0].arguments)
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    for kind in ("any", "tool"):
        choice = {"type": kind, "name": "weather"} if kind == "tool" else {"type": kind}
        message = anthropic.messages.create(
            model="", messages=ASK, tools=tools, tool_choice=choice, max_tokens=limit, extra_body={"temperature": 0}
        )
        assert message.content[0].type == "tool_use" and of_schema(message.content[0].input)
