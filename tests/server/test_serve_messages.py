"""Anthropic's messages, driven by its own client."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from scripted import Scripted, call

from bitwright.engine.ask import ask
from bitwright.server import http
from bitwright.server.service import Service

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
RAW: dict[str, Any] = {"messages": QUESTION, "temperature": 0, "max_tokens": 24}
GREEDY: dict[str, Any] = {  # the client has no name for temperature
    "model": "claude", "messages": QUESTION, "max_tokens": 24, "extra_body": {"temperature": 0},
}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}
THOUGHT_AND_CALLS = (
    "<think>\nWhere is that?\n</think>\n\nI will look.\n"
    + call("weather", '{"city": "Paris", "days": [1, 2]}')
    + "\n"
    + call("search", "{}")
)


@pytest.fixture
def script(scripted: tuple[Scripted, str]) -> Any:
    """Anthropic's client of a server that writes the text that this is called with."""
    service, address = scripted
    client = pytest.importorskip("anthropic").Anthropic(base_url=address, api_key="none", max_retries=0)

    def told(text: str) -> Any:
        service.script = text
        return client

    return told


def test_an_answer_is_what_the_model_says(anthropic: Any, service: Service) -> None:
    found = anthropic.messages.create(**GREEDY)
    (block,) = found.content
    assert block.type == "text" and block.text == ask(service.engine, QUESTION[0]["content"], max_tokens=24)
    assert found.role == "assistant" and found.model == "smollm2" and found.stop_reason in ("end_turn", "max_tokens")
    with anthropic.messages.stream(**GREEDY) as stream:
        assert "".join(stream.text_stream) == block.text
        final = stream.get_final_message()
    assert final.stop_reason == found.stop_reason and final.usage.output_tokens == found.usage.output_tokens
    counted = {own.usage.input_tokens + own.usage.cache_read_input_tokens for own in (found, final)}
    asked = {"model": "claude", "messages": QUESTION}
    assert counted == {anthropic.messages.count_tokens(**asked).input_tokens}


def test_an_answer_goes_on_with_what_the_assistant_has_said(anthropic: Any, openai: Any) -> None:
    whole = anthropic.messages.create(**GREEDY).content[0].text
    begun = whole[: whole.index(" ", 10)]
    asked = {**GREEDY, "messages": [*QUESTION, {"role": "assistant", "content": begun}]}
    assert anthropic.messages.create(**{**asked, "max_tokens": 8}).content[0].text in whole.removeprefix(begun)
    chat = openai.chat.completions.create(**{**asked, "max_tokens": 8})
    assert whole.startswith(begun + chat.choices[0].message.content)
    parts = [{"role": "assistant", "content": [{"type": "text", "text": begun}]}]
    count = anthropic.messages.count_tokens(model="claude", messages=[*QUESTION, *parts]).input_tokens
    assert count == chat.usage.prompt_tokens


def test_the_limit_and_stop_sequences_end_an_answer(anthropic: Any) -> None:
    whole = anthropic.messages.create(**GREEDY).content[0].text
    short = anthropic.messages.create(**{**GREEDY, "max_tokens": 3})
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 3
    stop = whole[8:13]
    found = anthropic.messages.create(**GREEDY, stop_sequences=["never", stop])
    assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", stop)
    assert found.content[0].text == whole[: whole.index(stop)]


def test_the_line_that_changes_with_every_request_is_not_read(anthropic: Any, web: httpx2.Client) -> None:
    """As Claude Code sends it: in a block of its own, or at the beginning of the text."""
    rules = "You are a careful assistant. " * 20

    def usage(hash: str, question: str, as_text: bool) -> Any:
        line = f"x-anthropic-billing-header: cc_version=2.1.37.fbe; cc_entrypoint=cli; cch={hash};"
        blocks = [{"type": "text", "text": line}, {"type": "text", "text": rules}]
        system = f"{line}\n{rules}" if as_text else blocks
        asked = {**GREEDY, "messages": [{"role": "user", "content": question}], "max_tokens": 1}
        return anthropic.messages.create(**asked, system=system).usage

    usage("a1b2c", "One?", False)
    assert usage("d3e4f", "One?", False).input_tokens == 1  # the last is read for what follows it
    for question, as_text in (("Two, then?", False), ("Or three?", True)):
        other = usage("05a6b", question, as_text)
        assert other.input_tokens < 16 < 100 < other.cache_read_input_tokens
    line = {"type": "text", "text": "x-anthropic-billing-header: cch=b3c4d;"}  # a gateway speaks OpenAI's interface
    system = {"role": "system", "content": [line, {"type": "text", "text": rules}]}
    asked = {"messages": [system, {"role": "user", "content": "Four?"}], "max_tokens": 1}
    passed_on = web.post("/v1/chat/completions", json=asked).json()["usage"]
    assert passed_on["prompt_tokens_details"]["cached_tokens"] > 100


def test_thoughts_text_and_calls_are_blocks(script: Any) -> None:
    client = script(THOUGHT_AND_CALLS)
    tools = [WEATHER, {"name": "search", "input_schema": {"type": "object"}}]
    whole = client.messages.create(**GREEDY | {"max_tokens": 200}, tools=tools)
    thought, text, first, second = whole.content
    assert (thought.type, thought.thinking) == ("thinking", "Where is that?")
    assert (text.type, text.text) == ("text", "I will look.")
    assert (first.type, first.name, first.input) == ("tool_use", "weather", {"city": "Paris", "days": [1, 2]})
    assert (second.type, second.name, second.input) == ("tool_use", "search", {})
    assert whole.stop_reason == "tool_use" and first.id != second.id

    with client.messages.stream(**GREEDY | {"max_tokens": 200}, tools=tools) as stream:
        events = [event for event in stream if event.type.startswith(("message", "content_block"))]
        final = stream.get_final_message()
    assert [own.model_dump(exclude={"id"}) for own in final.content] == [
        own.model_dump(exclude={"id"}) for own in whole.content
    ]
    assert final.stop_reason == "tool_use"
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    inner = [(event.index, event.type.removeprefix("content_block_")) for event in events[1:-2]]
    for index in range(4):
        own = [kind for at, kind in inner if at == index]
        assert own[0] == "start" and own[-1] == "stop" and set(own[1:-1]) == {"delta"}
    assert [index for index, _ in inner] == sorted(index for index, _ in inner)


def test_a_call_that_is_cut_off_is_not_lost(script: Any) -> None:
    client = script(call("weather", '{"city": "Par'))
    found = client.messages.create(**GREEDY | {"max_tokens": 18}, tools=[WEATHER])
    assert found.stop_reason == "max_tokens" and list(found.content[-1].input) == ["unreadable"]
    assert found.content[-1].input["unreadable"].startswith('{"city"')


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", '"\\ud800"'])
def test_arguments_that_are_no_json_are_passed_on_as_text(script: Any, value: str) -> None:
    client = script(call("weather", f'{{"city": {value}}}'))
    found = client.messages.create(**GREEDY | {"max_tokens": 60}, tools=[WEATHER])
    assert found.content[-1].input == {"unreadable": f'{{"city": {value}}}'} and found.stop_reason == "tool_use"


def test_a_name_that_is_no_text_is_no_call(script: Any) -> None:
    text = call("\\ud800", "{}")
    found = script(text).messages.create(**GREEDY | {"max_tokens": 60}, tools=[WEATHER])
    assert [block.text for block in found.content] == [text]


def test_without_tools_nothing_is_a_call(script: Any) -> None:
    text = call("weather", '{"city": "Paris"}')
    client = script(text)
    for more in ({}, {"tools": [WEATHER], "tool_choice": {"type": "none"}}):
        (block,) = client.messages.create(**GREEDY | {"max_tokens": 100}, **more).content
        assert block.text == text
    search = {"type": "web_search_20250305", "name": "web_search"}  # Anthropic's own: the model does not get it
    assert client.messages.create(**GREEDY | {"max_tokens": 100}, tools=[search]).content[0].text == text


def test_blocks_become_the_messages_of_a_chat(anthropic: Any, openai: Any) -> None:
    """What a template gets is what a chat with the same messages gets."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    blocks = [
        {"role": "user", "content": [{"type": "text", "text": "The weather"}, {"type": "text", "text": "in Paris?"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "x"},
                                          {"type": "text", "text": "Let me see."}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                                      "content": [{"type": "text", "text": "Sunny"}]},
                                     {"type": "text", "text": "So?"}]},
    ]  # fmt: skip
    function = {"name": "weather", "arguments": use["input"]}
    chat = [
        {"role": "system", "content": "Be brief.\nBe kind.\n\nBe quick."},
        {"role": "user", "content": "The weather\nin Paris?"},
        {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm.",
         "tool_calls": [{"id": "toolu_1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "Sunny"},
        {"role": "user", "content": "So?"},
    ]  # fmt: skip
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    given = [{"role": "system", "content": "Be quick."}, *blocks]
    found = anthropic.messages.create(**GREEDY | {"messages": given}, system=system)
    expected = openai.chat.completions.create(model="", messages=chat, temperature=0, max_tokens=24)
    assert found.content[0].text == expected.choices[0].message.content
    read = found.usage.input_tokens + found.usage.cache_read_input_tokens
    assert read == expected.usage.prompt_tokens


def test_pings_say_that_a_prompt_is_being_read(web: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "QUIET", 0.0)
    lines = web.post("/v1/messages", json={**RAW, "stream": True}).text.split("\n\n")
    assert 'event: ping\ndata: {"type": "ping"}' in lines


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "messages"),
        ({"messages": QUESTION}, "max_tokens"),
        ({**RAW, "messages": []}, "messages"),
        ({**RAW, "messages": [{"role": "system", "content": ""}]}, "say something"),
        ({**RAW, "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "'image'"),
        ({**RAW, "system": [{"type": "image"}]}, "'image'"),
        ({**RAW, "messages": [{"role": "user", "content": [{"type": "tool_use", "id": "1"}]}]}, "name"),
        ({**RAW, "tool_choice": {"type": "any"}}, "tool_choice"),
        ({**RAW, "tools": [WEATHER], "tool_choice": {"type": "tool", "name": "walk"}}, "walk"),
        ({**RAW, "tools": [{"input_schema": {}}]}, "name"),
        ({**RAW, "messages": [{"role": "user", "content": "word " * 1100}]}, "prompt is too long: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_anthropics_way(web: httpx2.Client, body: dict[str, Any], says: str) -> None:
    answer = web.post("/v1/messages", json=body)
    assert answer.status_code == 400 and answer.json()["type"] == "error"
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and says in error["message"]


def test_the_client_raises_its_own_errors(anthropic: Any, web: httpx2.Client) -> None:
    errors = pytest.importorskip("anthropic")
    with pytest.raises(errors.BadRequestError, match="max_tokens"):
        anthropic.messages.create(**GREEDY | {"max_tokens": -1})
    with pytest.raises(errors.BadRequestError, match="messages"):
        anthropic.messages.count_tokens(model="", messages=[])
    assert web.get("/v1/messages").json()["type"] == "error"
    assert json.loads(web.post("/v1/messages", content=b"{").content)["error"]["message"].startswith(
        "expected a request as JSON"
    )
