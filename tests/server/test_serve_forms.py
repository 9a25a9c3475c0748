"""Answers held to a schema or to a call, through every interface that chats."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from scripted import SIGNS, Scripted, call
from serving import serving

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
    """The first of them; a model this small goes on calling, unless OpenAI's clients name the tool."""
    function, limit = {"type": "function", "function": WEATHER}, 60
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        chat = openai.chat.completions.create(
            model="", messages=ASK, tools=[function], tool_choice=choice, temperature=0, max_tokens=limit
        )
        calls = chat.choices[0].message.tool_calls
        assert of_schema(calls[0].function.arguments)
    assert len(calls) == 1 and chat.choices[0].finish_reason == "tool_calls"
    tools = [{"type": "function", **WEATHER}]
    for choice in ("required", {"type": "function", "name": "weather"}):
        response = openai.responses.create(
            model="", input=ASK, tools=tools, tool_choice=choice, temperature=0, max_output_tokens=limit
        )
        assert of_schema(response.output[0].arguments)
    assert len(response.output) == 1 and response.status == "completed"
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    for kind in ("any", "tool"):
        choice = {"type": kind, "name": "weather"} if kind == "tool" else {"type": kind}
        message = anthropic.messages.create(
            model="", messages=ASK, tools=tools, tool_choice=choice, max_tokens=limit, extra_body={"temperature": 0}
        )
        assert message.content[0].type == "tool_use" and of_schema(message.content[0].input)


def test_a_call_that_is_demanded_can_be_the_only_one(calling: None, openai: Any, anthropic: Any) -> None:
    chat = openai.chat.completions.create(
        model="", messages=ASK, tools=[{"type": "function", "function": WEATHER}], tool_choice="required",
        parallel_tool_calls=False, temperature=0, max_tokens=100,
    )  # fmt: skip
    (called,) = chat.choices[0].message.tool_calls
    assert of_schema(called.function.arguments) and chat.choices[0].finish_reason == "tool_calls"
    response = openai.responses.create(
        model="", input=ASK, tools=[{"type": "function", **WEATHER}], tool_choice="required",
        parallel_tool_calls=False, temperature=0, max_output_tokens=100,
    )  # fmt: skip
    (item,) = response.output
    assert of_schema(item.arguments) and response.status == "completed" and response.parallel_tool_calls is False
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        message = anthropic.messages.create(
            model="", messages=ASK, tools=[{"name": "weather", "input_schema": SCHEMA}], max_tokens=100,
            tool_choice={**choice, "disable_parallel_tool_use": True}, extra_body={"temperature": 0},
        )  # fmt: skip
        (block,) = message.content
        assert of_schema(block.input) and message.stop_reason == "tool_use"


@pytest.mark.parametrize("single", [True, False])
def test_an_answer_ends_after_its_first_call_if_it_may_have_no_other(
    scripted: tuple[Scripted, str], single: bool
) -> None:
    """Where nothing holds the model to calls, and in streams, too."""
    service, address = scripted
    service.script = "I look." + "".join(call("weather", f'{{"city": "{city}"}}') for city in ("Paris", "Rome", "Oslo"))
    client = pytest.importorskip("openai").OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    claude = pytest.importorskip("anthropic").Anthropic(base_url=address, api_key="none", max_retries=0)
    asked = {"model": "", "messages": ASK, "max_tokens": 200}
    chat = {**asked, "tools": [{"type": "function", "function": WEATHER}], "parallel_tool_calls": not single}
    whole = client.chat.completions.create(**chat)
    choice = whole.choices[0]
    assert choice.message.content == "I look." and choice.finish_reason == "tool_calls"
    assert len(choice.message.tool_calls) == (1 if single else 3)
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"city": "Paris"}
    chunks = list(client.chat.completions.create(**chat, stream=True))
    deltas = [own for chunk in chunks for own in chunk.choices[0].delta.tool_calls or ()]
    assert max(own.index for own in deltas) == (0 if single else 2)
    assert "".join(own.function.arguments for own in deltas if own.index == 0) == '{"city": "Paris"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    response = client.responses.create(
        model="", input=ASK, tools=[{"type": "function", **WEATHER}], parallel_tool_calls=not single
    )
    kinds = [item.type for item in response.output]
    assert kinds == ["message", *["function_call"] * (1 if single else 3)] and response.status == "completed"
    own = {"type": "auto", "disable_parallel_tool_use": single}
    message = claude.messages.create(**asked, tools=[{"name": "weather", "input_schema": SCHEMA}], tool_choice=own)
    assert [block.type for block in message.content] == ["text", *["tool_use"] * (1 if single else 3)]
    assert message.stop_reason == "tool_use"
    (count,) = {whole.usage.completion_tokens, response.usage.output_tokens, message.usage.output_tokens}
    assert (count < len(service.tokenizer.encode(service.script, False))) == single


PARIS, OSLO, JSON, WORDS = (
    "I look." + call("weather", '{"city": "Paris"}'), "I look." + call("weather", '{"city": "Oslo"}'),
    '{"city": "Rome"}', "It rains.",
)  # fmt: skip


@pytest.mark.parametrize("strict", [True, False])
def test_calls_of_strict_tools_fit_their_schemas_and_text_may_come_instead(
    scripted: tuple[Scripted, str], strict: bool
) -> None:
    """What the script writes and the answer must not hold is refused."""
    service, address = scripted
    function = {**WEATHER, "strict": strict}
    asked = {
        "/v1/chat/completions": {"messages": ASK, "tools": [{"type": "function", "function": function}]},
        "/v1/responses": {"input": ASK, "tools": [{"type": "function", **function}]},
        "/v1/messages": {
            "messages": ASK, "max_tokens": 200, "tools": [{"name": "w", "strict": strict, "input_schema": SCHEMA},
                                                          {"name": "weather", "input_schema": SCHEMA}],
        },
    }  # fmt: skip
    for path, body in asked.items():
        for script, fits in ((PARIS, True), (WORDS, True), (OSLO, not strict)):
            service.script = script
            answer = httpx2.post(address + path, json=body, timeout=120)
            assert answer.status_code == (200 if fits else 400), (path, script, answer.text)


def test_an_answer_of_a_schema_or_a_call(scripted: tuple[Scripted, str]) -> None:
    service, address = scripted
    format = {"type": "json_schema", "name": "city", "schema": SCHEMA}
    asked = {
        "/v1/chat/completions": {
            "messages": ASK, "tools": [{"type": "function", "function": WEATHER}],
            "response_format": {"type": "json_schema", "json_schema": format},
        },
        "/v1/responses": {"input": ASK, "tools": [{"type": "function", **WEATHER}], "text": {"format": format}},
        "/v1/messages": {
            "messages": ASK, "max_tokens": 200, "tools": [{"name": "weather", "input_schema": SCHEMA}],
            "output_config": {"format": format},
        },
    }  # fmt: skip
    only = PARIS.removeprefix("I look.")
    for path, body in asked.items():
        for script, fits in ((JSON, True), (only, True), (WORDS, False), (PARIS, False)):
            service.script = script
            answer = httpx2.post(address + path, json=body, timeout=120)
            assert answer.status_code == (200 if fits else 400), (path, script, answer.text)
            assert not fits or ('\\"Rome\\"' in answer.text) == (script == JSON)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_some_of_the_tools_may_be_allowed(calling: None, openai: Any, mode: str) -> None:
    tools = [{**WEATHER, "name": name} for name in ("first", "second", "third")]
    names = ["third", "second"]
    chat = openai.chat.completions.create(
        model="", messages=ASK, temperature=0, max_tokens=60, parallel_tool_calls=False,
        tools=[{"type": "function", "function": own} for own in tools], tool_choice={
            "type": "allowed_tools", "allowed_tools": {
                "mode": mode, "tools": [{"type": "function", "function": {"name": own}} for own in names]}},
    )  # fmt: skip
    response = openai.responses.create(
        model="", input=ASK, temperature=0, max_output_tokens=60, parallel_tool_calls=False,
        tools=[{"type": "function", **own} for own in tools], tool_choice={
            "type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": own} for own in names]},
    )  # fmt: skip
    assert response.tool_choice.mode == mode and chat.usage.prompt_tokens == response.usage.input_tokens
    if mode == "required":
        called = [own.function.name for own in chat.choices[0].message.tool_calls]
        assert called == [own.name for own in response.output] and called[0] in names


@pytest.mark.parametrize("name", ["none", "auto", "required"])
def test_a_tool_may_be_called_like_a_word_of_tool_choice(calling: None, openai: Any, anthropic: Any, name: str) -> None:
    """Named, it is called; the word alone means what it always does."""
    tools = [{**WEATHER, "name": own} for own in ("weather", name)]
    functions = [{"type": "function", "function": own} for own in tools]
    named = {"type": "function", "function": {"name": name}}
    ask = {"model": "", "messages": ASK, "temperature": 0, "max_tokens": 60}
    chat = openai.chat.completions.create(**ask, tools=functions, tool_choice=named)
    assert [own.function.name for own in chat.choices[0].message.tool_calls] == [name]
    response = openai.responses.create(
        model="", input=ASK, temperature=0, max_output_tokens=60, tool_choice={"type": "function", "name": name},
        tools=[{"type": "function", **own} for own in tools],
    )  # fmt: skip
    assert [item.name for item in response.output] == [name] and response.tool_choice.name == name
    message = anthropic.messages.create(
        model="", messages=ASK, max_tokens=60, tool_choice={"type": "tool", "name": name},
        tools=[{"name": own["name"], "input_schema": SCHEMA} for own in tools], extra_body={"temperature": 0},
    )  # fmt: skip
    assert {block.name for block in message.content} == {name}
    if name == "none":
        silent = openai.chat.completions.create(**ask, tools=functions, tool_choice="none")
        assert silent.choices[0].message.tool_calls is None


@pytest.mark.parametrize("guessing", ["ngram", "draft"])
def test_guesses_change_no_answer_that_is_held_to_something(
    service: Service, openai: Any, monkeypatch: pytest.MonkeyPatch, guessing: str
) -> None:
    """Whatever they cost. A draft guesses what its model finds likeliest, which the constraint often forbids."""
    engine = service.engine
    guesser = Service(engine, "g", 1, 1 << 28, guesses=6, draft=engine if guessing == "draft" else None)
    plain = Service(engine, "p", 1, 1 << 28)
    speculation: Any = guesser.worker.batch.speculation
    speculation.cost, speculation.drafting = lambda rows: 1.0, 0.0
    cities = {"type": "array", "items": SCHEMA, "minItems": 2, "maxItems": 4}
    format = {"type": "json_schema", "json_schema": {"name": "cities", "schema": cities}}
    function = {"type": "function", "function": {**WEATHER, "name": "none"}}
    seen = '[{"city": "Paris"}, {"city": "Rome"}, {"city": "Oslo"}] ' * 3
    ask = {"model": "", "messages": [{"role": "user", "content": f"Say {seen}"}], "temperature": 0, "max_tokens": 120}
    held: list[dict[str, Any]] = [
        {"response_format": format},
        {"tools": [function], "tool_choice": {"type": "function", "function": {"name": "none"}}},
        {"tools": [function], "tool_choice": "required", "max_tokens": 60},
    ]
    answers = []
    for own in (plain, guesser):
        monkeypatch.setattr(own, "format", reply_format(SIGNS))
        with serving(own) as address:
            client = openai.with_options(base_url=f"{address}/v1")
            answers.append([client.chat.completions.create(**{**ask, **more}).choices[0] for more in held])
    said = [
        [choice.message.model_dump(exclude={"tool_calls": {"__all__": {"id"}}}) for choice in own] for own in answers
    ]
    assert said[0] == said[1] and plain.counted["guessed"] == 0
    assert 0 < guesser.counted["guessed_right"] < guesser.counted["guessed"]
    found, one, several = answers[1]
    assert all(map(of_schema, json.loads(found.message.content))) and found.finish_reason == "stop"
    (called,) = one.message.tool_calls
    assert called.function.name == "none" and of_schema(called.function.arguments)
    assert of_schema(several.message.tool_calls[0].function.arguments)
