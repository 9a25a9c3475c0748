"""What models of the families really write, beyond what their templates do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from replies import TOOLS, call, fed, parsed
from reply_templates import TEMPLATES

from bitwright.model.replies import Arguments, Call, Part, Reasoning, Text, reply_format
from bitwright.model.replies.typed_calls import json_of, json_types, literal

OSLO = '{"city": "Oslo"}'
ARGUMENT, BEGIN, SEPARATOR = "<parameter=city>\nOslo\n</parameter>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("llama3", '<|python_tag|>{"name": "none", "parameters": {}}', call(0, "none", "{}")),
        ("llama3", '<|python_tag|>f.call(city="Oslo", days=3)', call(0, "f", '{"city": "Oslo", "days": 3}')),
        ("llama3", "So: <|python_tag|>search.call()", [Text("So:"), *call(0, "search", "{}")]),
        ("llama3", "<|python_tag|>print(1)", [Text("<|python_tag|>print(1)")]),
        ("llama3", f'\n{{"type": "function", "name": "weather", "parameters": {OSLO}}}', call(0, "weather", OSLO)),
        ("llama3", '{"name": "Bob", "age": 3}', [Text('{"name": "Bob", "age": 3}')]),
        ("llama3", '{"answer": [1]}', [Text('{"answer": [1]}')]),
        ("llama3", 'It is {"name": "weather"}', [Text('It is {"name": "weather"}')]),
        ("llama3", '{"name": "weather"}; {"a": 1}', [*call(0, "weather", "{}"), Text('{"a": 1}')]),
        ("mistral", f"Yes.[TOOL_CALLS]weather{OSLO}", [Text("Yes."), *call(0, "weather", OSLO)]),
        ("mistral", "[TOOL_CALLS] [1, 2]", [Text("[TOOL_CALLS] [1, 2]")]),
        ("mistral", "[TOOL_CALLS]none of that", [Text("[TOOL_CALLS]none of that")]),
        ("mistral", f"[THINK]So.[/THINK]Hi{OSLO}", [Reasoning("So."), Text(f"Hi{OSLO}")]),
        ("qwen-tags", f"<function=weather>\n{ARGUMENT}\n</function>", call(0, "weather", OSLO)),
        ("qwen-tags", "Write <function=none> here", [Text("Write <function=none> here")]),
        ("qwen-tags", "<tool_call>\n<function=none>\n</function>\n</tool_call>", call(0, "none", "{}")),
        ("qwen-tags", f"<tool_call><function=weather>?{ARGUMENT}!</function></tool_call>",
         [Call(0, "weather"), Text("?"), Arguments(0, OSLO[:-1]), Text("!"), Arguments(0, "}")]),
        ("qwen-tags", "<tool_call><function=f><parameter=a>Oslo</parameter></function>", call(0, "f", '{"a": "Oslo"}')),
        ("qwen-tags", "<think>\nI look.\n<tool_call>\n<function=search>\n</function>\n</tool_call>",
         [Reasoning("I look."), *call(0, "search", "{}")]),
        ("glm", "<tool_call>search</tool_call>", call(0, "search", "{}")),
        ("glm", "<tool_call>\nsearch\n</tool_call>", call(0, "search", "{}")),
        ("glm", '<tool_call>{"name": "f"}</tool_call>', [Text('<tool_call>{"name": "f"}</tool_call>')]),
        ("deepseek", f"{BEGIN}weather{SEPARATOR}{OSLO}", call(0, "weather", OSLO)),
        ("deepseek", f"{BEGIN}function{SEPARATOR}f\n{OSLO}", [Text(f"{BEGIN}function{SEPARATOR}f\n{OSLO}")]),
        ("harmony", "Hi\n", [Text("Hi\n")]),
        ("harmony", "<|channel|>final<|message|> Hi\n", [Text(" Hi\n")]),
        ("harmony", "<|channel|>analysis<|message|>So<|end|><|start|>assistant<|channel|>final<|message|>Hi",
         [Reasoning("So"), Text("Hi")]),
        ("harmony", "<|channel|>commentary<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
         [Text("a\n\nb")]),
        ("harmony", f" to=functions.weather<|channel|>commentary <|constrain|>json<|message|>{OSLO}<|call|>",
         call(0, "weather", OSLO)),
        ("harmony", f"<|channel|>analysis to=weather code<|message|>{OSLO}", call(0, "weather", OSLO)),
        ("harmony", "<|channel|>commentary to=functions.search<|message|>", call(0, "search", "{}")),
        ("harmony", "<|channel|>commentary to=functions.f<|message|>print(1)<|call|>", call(0, "f", "print(1)")),
        ("harmony", "<|channel|>analysis to=python code<|message|>print(1)<|call|>", [Reasoning("print(1)")]),
        ("harmony", "<|channel|>final<|mess", [Text("<|channel|>final<|mess")]),
        ("harmony", "<|channel|>a<|channel|>final<|message|>b", [Text("<|channel|>ab")]),
        ("gemma4", '<|tool_call>call:f{a:True,b:x y,c:"z",d:null}<tool_call|>Hi',
         [*call(0, "f", '{"a": true, "b": "x y", "c": "z", "d": null}'), Text("Hi")]),
        ("gemma4", "<|tool_call>f{a:1}", [Text("<|tool_call>f{a:1}")]),
        ("gemma4", "<|channel>thought\n<channel|>Hi", [Text("Hi")]),
        ("minimax-tags", '<minimax:tool_call>x', [Text("<minimax:tool_call>x")]),
    ],
)  # fmt: skip
def test_variants(name: str, text: str, expected: list[Part]) -> None:
    assert parsed(reply_format(TEMPLATES[name]), text) == expected


def test_a_harmony_prompt_may_end_within_a_message() -> None:
    format = reply_format(TEMPLATES["harmony"])
    prompt = "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>analysis<|message|>"
    assert parsed(format, "So<|end|>", prompt) == [Reasoning("So")]


def test_a_long_text_after_a_mark_is_not_held_back() -> None:
    for name, mark in (
        ("harmony", "<|channel|>"),
        ("mistral", "[TOOL_CALLS]"),
        ("deepseek", BEGIN),
        ("glm", "<tool_call>"),
    ):
        parser = reply_format(TEMPLATES[name]).reply("", TOOLS)
        assert parser.feed(mark + "x" * 300) == [Text(mark + "x" * 300)]


@pytest.mark.parametrize(
    ("text", "types", "value"),
    [
        ("5", {"integer"}, 5),
        ("5", {"number"}, 5),
        ("5.0", {"integer"}, 5.0),
        ("5.5", {"integer"}, "5.5"),
        ("five", {"integer"}, "five"),
        ("True", {"boolean"}, True),
        ("true", {"boolean", "string"}, True),
        ("None", {"string", "null"}, None),
        ("5", {"string", "null"}, "5"),
        (' {"a": [1]} ', {"object"}, {"a": [1]}),
        ("{'a': [None, 'x']}", {"object"}, {"a": [None, "x"]}),
        ("[1", {"array"}, "[1"),
        ("{1, 2}", {"array"}, "{1, 2}"),
        ("[" * 100000, {"array"}, "[" * 100000),
        ("NaN", {"number"}, "NaN"),
        ("9" * 5000, {"integer"}, "9" * 5000),
        ('"x"', set(), '"x"'),
        ("[2]", set(), [2]),
        ("x\n", set(), "x\n"),
    ],
)
def test_bare_values_become_json_by_their_type(text: str, types: set[str], value: Any) -> None:
    found = json.loads(json_of(text, frozenset(types)))
    assert found == value and type(found) is type(value)


def test_literals() -> None:
    assert [literal(text) for text in ("1.5", '"x"', "None", "x y", "{'a': {1}}")] == [
        "1.5", '"x"', "null", '"x y"', "\"{'a': {1}}\"",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"enum": ["a", 1, None, 1.5, True]}, {"string", "integer", "null", "number", "boolean"}),
        ({"const": [1]}, {"array"}),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Point"}]}, {"string", "object"}),
        ({"oneOf": [{"type": "string"}, {}]}, set()),
        ({"allOf": [{"description": "x"}, {"type": "array"}]}, {"array"}),
        ({"$ref": "#/$defs/Loop"}, set()),
        ({"$ref": "#/nowhere/at/all"}, set()),
        ({"$ref": "https://example.com/x"}, set()),
        ({"type": {"wrong": 1}}, set()),
        (True, set()),
        (None, set()),
    ],
)
def test_types_that_a_schema_allows(schema: Any, types: set[str]) -> None:
    root = {"$defs": {"Point": {"type": "object"}, "Loop": {"$ref": "#/$defs/Loop"}}}
    assert json_types(schema, root) == types


def test_tools_may_stand_without_their_wrapper() -> None:
    parser = reply_format(TEMPLATES["qwen-tags"]).reply(
        "", [{"name": "f", "parameters": {"properties": {"n": {"type": "integer"}}}}]
    )
    assert fed(parser, ["<tool_call><function=f><parameter=n>7</parameter></function>"]) == call(0, "f", '{"n": 7}')
