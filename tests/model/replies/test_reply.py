"""Replies in pieces: plain text, reasoning, and calls in JSON between tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import call, fed, parsed, said

from bitwright.model.replies import Part, Reasoning, Text, reply_format

PLAIN = reply_format("{{ messages }}")
THINKING = reply_format("{{ '<think>' }}")
HERMES = reply_format("<think> <tool_call>")
WEATHER = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
OSLO = '{"city": "Oslo"}'


def test_formats_by_the_marks_of_a_template() -> None:
    assert [f.name for f in (PLAIN, THINKING, HERMES, reply_format(None))] == ["plain", "plain", "hermes", "plain"]
    assert PLAIN.kept == frozenset() and THINKING.kept == {"<think>", "</think>"}
    assert HERMES.kept == {"<think>", "</think>", "<tool_call>", "</tool_call>"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n", [Text(" \n")]),
        ("  Hi. <b>x</b> </think>\n", [Text("  Hi. <b>x</b> </think>\n")]),
        ("<think>\nSo.\n\nYes.\n</think>\n\nHi.\n", [Reasoning("So.\n\nYes."), Text("Hi.\n")]),
        ("\n <think></think>Hi", [Text("Hi")]),
        ("<think>So", [Reasoning("So")]),
        ("<think>So </thi", [Reasoning("So </thi")]),
        ("<thin", [Text("<thin")]),
        ("Tags: <think>a</think>", [Text("Tags: <think>a</think>")]),
        ("<think>a</think><think>b</think>", [Reasoning("a"), Text("<think>b</think>")]),
    ],
)
def test_reasoning_comes_first(text: str, expected: list[Part]) -> None:
    assert parsed(THINKING, text) == expected
    assert parsed(PLAIN, text) == ([Text(text)] if text else [])


def test_reasoning_that_the_prompt_opens() -> None:
    assert parsed(THINKING, "So.\n</think>\n\nHi", "...<think>\n") == [Reasoning("So."), Text("Hi")]
    assert parsed(THINKING, "Hi", "...<think>\n\n</think>\n\n") == [Text("Hi")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WEATHER, call(0, "weather", OSLO)),
        (f"I look.\n{WEATHER}\n", [Text("I look."), *call(0, "weather", OSLO)]),
        (f"{WEATHER}\n{WEATHER}\nThen.", [*call(0, "weather", OSLO), *call(1, "weather", OSLO), Text("Then.")]),
        (f"{WEATHER}{WEATHER}", [*call(0, "weather", OSLO), *call(1, "weather", OSLO)]),
        (f"<think>\nI look.\n</think>\n\n{WEATHER}", [Reasoning("I look."), *call(0, "weather", OSLO)]),
        (f"<think>\nI look.\n{WEATHER}", [Reasoning("I look."), *call(0, "weather", OSLO)]),
        ('<tool_call>{"name":"none"}</tool_call>', call(0, "none", "{}")),
        ('<tool_call>{"id": [1, "}"], "name": "none", "x": 1.5}', call(0, "none", "{}")),
        ('<tool_call>{"arguments": {"a": "}\\""}, "name": "f"}', call(0, "f", '{"a": "}\\""}')),
        ('<tool_call>{"name": "f", "parameters": {"a": "</tool_call>"}}', call(0, "f", '{"a": "</tool_call>"}')),
        ('<tool_call>{"name": "f", "arguments": {"a": [1, {"b": "é"', call(0, "f", '{"a": [1, {"b": "é"')),
        ('<tool_call>{"name": "f", "arguments": null}', call(0, "f", "{}")),
        ('<tool_call>{"arguments": null, "name": "f"}', call(0, "f", "{}")),
        ('<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}', call(0, "f", '{"a": 1}')),
        ('<tool_call>{"name": "f", "arguments": {}, "name": "g"}', [*call(0, "f", "{}"), Text(', "name": "g"}')]),
        ('<tool_call>{"name": "f", "arguments": {}} !</tool_call>', [*call(0, "f", "{}"), Text("!")]),
        ('<tool_call>{"name": "f", "arguments": {} "x"}</tool_call>.', [*call(0, "f", "{}"), Text('"x"}.')]),
        ('a <tool_call> {"x": 1}</tool_call>', [Text('a <tool_call> {"x": 1}</tool_call>')]),
        ("a <tool_call>", [Text("a <tool_call>")]),
        ('a\n<tool_call>{"name": "we', [Text('a\n<tool_call>{"name": "we')]),
        ('<tool_call>{"name": 7, "arguments": {}}', [Text('<tool_call>{"name": 7, "arguments": {}}')]),
        ('<tool_call>{"name": "\\x"}', [Text('<tool_call>{"name": "\\x"}')]),
        (f"<tool_call>?{WEATHER}", [Text("<tool_call>?"), *call(0, "weather", OSLO)]),
        (f"<think>A {WEATHER[:28]}</think>b", [Reasoning(f"A {WEATHER[:28]}"), Text("b")]),
    ],
)
def test_calls_between_tags(text: str, expected: list[Part]) -> None:
    assert parsed(HERMES, text) == expected


def test_a_thought_about_a_call_is_none() -> None:
    thought = '<think>Write <tool_call>{"name": "x", "arguments": {}}</tool_call>.</think>Hi'
    assert parsed(HERMES, thought) == [Reasoning(thought[7:-10]), Text("Hi")]


def test_without_tools_nothing_is_a_call() -> None:
    assert parsed(HERMES, WEATHER, tools=()) == [Text(WEATHER)]


def test_text_is_held_back_no_longer_than_a_mark_may_begin() -> None:
    reply = HERMES.reply("", [{"name": "f"}])
    pieces = ["<", "th", "is", "> a", "\n", "b <tool", "_", "call> ", 'x{"', "name"]
    assert [reply.feed(piece) for piece in pieces] == [
        [], [], [Text("<this")], [Text("> a")], [], [Text("\nb")], [], [], [Text(" <tool_call> x{\"")], [Text("name")],
    ]  # fmt: skip


def test_arguments_come_as_they_are_written() -> None:
    reply = HERMES.reply("", [{"name": "f"}])
    pieces = ['<tool_call>{"name": "f', '", "argu', 'ments": {"a', '": "', "x", '\\"', '"', "}", "}</tool_", "call>"]
    parts = [reply.feed(piece) for piece in pieces]
    assert parts[1] == call(0, "f", "x")[:1]
    assert [part[-1] for piece in parts[2:] for part in piece] == ['{"a', '": "', "x", '\\"', '"', "}"]
    assert reply.finish() == []


MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "', '", "arguments": ', "{", "}", '"', "\n"]


@given(st.lists(st.one_of(st.sampled_from(MARKS), st.text("αβγ", max_size=3)), max_size=14))
def test_random_replies_lose_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    parts = fed(HERMES.reply("", [{"name": "α"}]), pieces)
    assert parts == fed(HERMES.reply("", [{"name": "α"}]), [text])
    assert [letter for letter in said(parts) if letter in "αβγ"] == [letter for letter in text if letter in "αβγ"]
    if "<" not in text:
        assert parts == ([Text(text)] if text else [])


@given(st.text(), st.integers(0, 20))
def test_other_text_passes_as_it_is(text: str, cut: int) -> None:
    assert fed(HERMES.reply("", [{"name": "f"}]), [text[:cut], text[cut:]]) == ([Text(text)] if text else [])
