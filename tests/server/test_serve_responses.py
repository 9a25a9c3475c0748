"""Responses, driven by OpenAI's own client."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from scripted import Scripted, call
from test_serve_messages import THOUGHT_AND_CALLS

from bitwright.engine.ask import ask
from bitwright.server.service import Service

QUESTION = "What is the capital of France?"
GREEDY: dict[str, Any] = {"model": "smollm2", "input": QUESTION, "temperature": 0, "max_output_tokens": 24}
LONG: dict[str, Any] = {**GREEDY, "max_output_tokens": 200}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
SEARCH = {"type": "function", "name": "search", "parameters": {"type": "object"}}
CODEX = [{"type": "local_shell"}, {"type": "web_search"}, {"type": "custom", "name": "apply_patch", "format": {}}]


@pytest.fixture
def script(scripted: tuple[Scripted, str]) -> Any:
    """OpenAI's client of a server that writes the text that this is called with."""
    service, address = scripted
    client = pytest.importorskip("openai").OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)

    def told(text: str) -> Any:
        service.script = text
        return client

    return told


def as_chat(client: Any, messages: list[dict[str, Any]]) -> Any:
    return client.chat.completions.create(model="", messages=messages, temperature=0, max_tokens=24)


def without_ids(items: Any) -> list[Any]:
    return [item.model_dump(exclude={"id", "call_id"}) for item in items]


def test_an_answer_is_what_the_model_says(openai: Any, service: Service) -> None:
    asked = GREEDY | {"input": "Say hi"}  # the answer ends within 40 tokens, whatever the CPU's last bits
    found = openai.responses.create(**asked)
    assert found.output_text == ask(service.engine, "Say hi", max_tokens=24)
    assert found.status in ("completed", "incomplete") and found.model == "smollm2"
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens
    with openai.responses.stream(**asked | {"max_output_tokens": 100}) as stream:
        events = list(stream)
        final = stream.get_final_response()
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text and final.status == "completed"
    assert text.startswith(found.output_text)


def test_the_events_of_a_text_come_in_openais_order(openai: Any) -> None:
    events = list(openai.responses.create(**GREEDY | {"max_output_tokens": 3}, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    names = [event.type.removeprefix("response.") for event in events]
    assert list(dict.fromkeys(names)) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "incomplete",
    ]  # fmt: skip
    assert events[0].response.status == "in_progress" and events[0].response.output == []
    final = events[-1].response
    assert final.status == "incomplete" and final.incomplete_details.reason == "max_output_tokens"
    assert final.usage.output_tokens == 3 and final.output[0].status == "incomplete"
    assert events[-2].item == final.output[0]


def test_a_conversation_goes_on_from_what_was_kept(openai: Any) -> None:
    first = openai.responses.create(**GREEDY, instructions="Be brief.")
    second = openai.responses.create(**GREEDY | {"input": "And of Italy?"}, previous_response_id=first.id)
    said = {"role": "assistant", "content": first.output_text}
    chat = [{"role": "user", "content": QUESTION}, said, {"role": "user", "content": "And of Italy?"}]
    expected = as_chat(openai, chat)  # instructions are not kept
    assert second.output_text == expected.choices[0].message.content
    assert second.usage.input_tokens == expected.usage.prompt_tokens
    third = openai.responses.create(**GREEDY | {"input": "And of Spain?"}, previous_response_id=second.id)
    assert third.usage.input_tokens_details.cached_tokens >= second.usage.input_tokens

    listed = openai.responses.input_items.list(third.id, order="asc")
    texts = [QUESTION, first.output_text, "And of Italy?", second.output_text, "And of Spain?"]
    assert [item.content[0].text for item in listed] == texts
    pages = openai.responses.input_items.list(third.id, limit=2)
    assert [item.content[0].text for item in pages] == texts[::-1]
    assert openai.responses.retrieve(second.id) == second


def test_what_is_not_kept_cannot_be_built_on(openai: Any) -> None:
    errors = pytest.importorskip("openai")
    secret = openai.responses.create(**GREEDY, store=False)
    kept = openai.responses.create(**GREEDY)
    openai.responses.delete(kept.id)
    for id in (secret.id, kept.id, "resp_0"):
        with pytest.raises(errors.NotFoundError, match="no response"):
            openai.responses.retrieve(id)
        with pytest.raises(errors.NotFoundError, match="no response"):
            openai.responses.delete(id)
        with pytest.raises(errors.NotFoundError, match="send the whole conversation"):
            openai.responses.create(**GREEDY, previous_response_id=id)
        with pytest.raises(errors.NotFoundError):
            openai.responses.input_items.list(id)


def test_thoughts_text_and_calls_are_items(script: Any) -> None:
    client = script(THOUGHT_AND_CALLS)
    whole = client.responses.create(**LONG, tools=[WEATHER, SEARCH])
    thought, message, first, second = whole.output
    assert (thought.type, thought.content[0].text) == ("reasoning", "Where is that?")
    assert (message.type, message.content[0].text) == ("message", "I will look.")
    assert (first.type, first.name, first.arguments) == (
        "function_call",
        "weather",
        '{"city": "Paris", "days": [1, 2]}',
    )
    assert (second.name, second.arguments) == ("search", "{}") and first.call_id != second.call_id
    assert whole.status == "completed" and 0 < whole.usage.output_tokens_details.reasoning_tokens < 10

    with client.responses.stream(**LONG, tools=[WEATHER, SEARCH]) as stream:
        assert stream.get_final_response().output[2].arguments == first.arguments
    events = list(client.responses.create(**LONG, tools=[WEATHER, SEARCH], stream=True))
    assert without_ids(events[-1].response.output) == without_ids(whole.output)
    for index, kind in enumerate(
        ("reasoning_text", "output_text", "function_call_arguments", "function_call_arguments")
    ):
        own = [e for e in events if getattr(e, "output_index", None) == index]
        assert (own[0].type, own[-1].type) == ("response.output_item.added", "response.output_item.done")
        deltas = "".join(e.delta for e in own if e.type == f"response.{kind}.delta")
        (done,) = [e for e in own if e.type == f"response.{kind}.done"]
        assert deltas == (done.text if "text" in kind else done.arguments) != ""
        assert {e.item_id for e in own[1:-1]} == {own[-1].item.id}


def test_items_become_the_messages_of_a_chat(openai: Any) -> None:
    """What a template gets is what a chat with the same messages gets. This is how Codex writes a conversation."""
    items = [
        {"role": "developer", "content": "Be quick."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "The weather"},
                                                        {"type": "input_text", "text": "in Paris?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
        {"type": "function_call", "call_id": "call_2", "name": "search", "arguments": ""},
        {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "Nothing"}]},
        {"role": "user", "content": "So?"},
    ]  # fmt: skip
    calls = [{"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
             for n, name, arguments in ((1, "weather", '{"city": "Paris"}'), (2, "search", ""))]  # fmt: skip
    chat = [
        {"role": "system", "content": "Be brief.\n\nBe quick."},
        {"role": "user", "content": "The weather\nin Paris?"},
        {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": "Nothing"},
        {"role": "user", "content": "So?"},
    ]
    asked = {"store": False, "include": ["reasoning.encrypted_content"], "tools": CODEX, "tool_choice": "auto",
             "parallel_tool_calls": False, "prompt_cache_key": "x", "reasoning": {"effort": "low"}}  # fmt: skip
    found = openai.responses.create(**GREEDY | {"input": items}, instructions="Be brief.", **asked)
    expected = as_chat(openai, chat)
    assert found.output_text == expected.choices[0].message.content and found.tools == []
    assert found.usage.input_tokens == expected.usage.prompt_tokens


def test_calls_and_their_results_are_kept(script: Any, scripted: tuple[Scripted, str]) -> None:
    client = script(THOUGHT_AND_CALLS)
    first = client.responses.create(**LONG, tools=[WEATHER, *CODEX])
    assert [tool.name for tool in first.tools] == ["weather"]
    calls = [item for item in first.output if item.type == "function_call"]
    returned = [{"type": "function_call_output", "call_id": own.call_id, "output": "Sunny"} for own in calls]
    scripted[0].script = "It is sunny."
    second = client.responses.create(**LONG | {"input": returned}, previous_response_id=first.id)
    assert second.output_text == "It is sunny."
    listed = [item.type for item in client.responses.input_items.list(second.id, order="asc")]
    assert listed == ["message", *(item.type for item in first.output), "function_call_output", "function_call_output"]


def test_without_functions_nothing_is_a_call(script: Any) -> None:
    text = call("weather", '{"city": "Paris"}')
    client = script(text)
    for more in ({}, {"tools": CODEX}, {"tools": [WEATHER], "tool_choice": "none"}):
        assert client.responses.create(**LONG, **more).output_text == text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "'item_reference'"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "'input_image'"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "call_id"),
        ({"input": [{"role": "king", "content": "x"}]}, "role"),
        ({"input": QUESTION, "tool_choice": "required", "tools": CODEX}, "tool_choice"),
        ({"input": QUESTION, "tools": [WEATHER], "tool_choice": {"type": "function", "name": "walk"}}, "walk"),
        ({"input": QUESTION, "tools": [{"type": "function"}]}, "name"),
        ({"input": QUESTION, "background": True}, "background"),
        ({"input": QUESTION, "conversation": "conv_1"}, "conversation"),
        ({"input": QUESTION, "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": QUESTION, "text": {"format": {"type": "yaml"}}}, "format"),
        ({"input": "word " * 1100}, "exceeds the context"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(web: httpx2.Client, body: dict[str, Any], says: str) -> None:
    answer = web.post("/v1/responses", json=body)
    assert answer.status_code == 400 and says in answer.json()["error"]["message"]


def test_pages_of_items_are_checked(web: httpx2.Client, openai: Any) -> None:
    id = openai.responses.create(**GREEDY).id
    for query in ("limit=0", "limit=x", "order=up", "after=nothing"):
        answer = web.get(f"/v1/responses/{id}/input_items?{query}")
        assert answer.status_code == 400 and query.split("=")[0] in answer.json()["error"]["message"]
