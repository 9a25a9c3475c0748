"""Feeding replies to a parser in pieces, and what its parts come to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bitwright.model.replies import Arguments, Call, Part, Reply, ReplyFormat

PROPERTIES = {
    "city": {"type": "string", "description": "where"},
    "days": {"type": "integer", "description": "how many"},
    "share": {"type": "number", "description": "how much"},
    "exact": {"type": "boolean", "description": "whether"},
    "where": {"type": "object", "description": "around"},
    "tags": {"type": "array", "items": {"type": "string"}, "description": "which"},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "looks",
            "parameters": {"type": "object", "properties": PROPERTIES, "required": []},
        },
    }
    for name in ("weather", "search")
]
ARGUMENTS: list[dict[str, Any]] = [
    {
        "city": 'Ål "x"\n <b>\\n </param',
        "days": 3,
        "share": 0.5,
        "exact": True,
        "where": {"a": [1, {"b": "}"}], "c": None},
        "tags": ["x", "]"],
    },
    {},
    {"city": "", "days": -1},
]
CALLS = [
    {"id": f"abcdefgh{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
    for n, (name, arguments) in enumerate(zip(("weather", "search", "weather"), ARGUMENTS, strict=True))
]


def fed(reply: Reply, pieces: Iterable[str]) -> list[Part]:
    """All parts of a reply, joined as far as they are pieces of one thing."""
    parts: list[Part] = []
    for part in [part for piece in pieces for part in reply.feed(piece)] + reply.finish():
        assert isinstance(part, Call) or part.text, "an empty part"
        last = parts[-1] if parts else None
        if not isinstance(part, Call) and type(part) is type(last) and part[:-1] == last[:-1]:
            parts[-1] = part._replace(text=last[-1] + part[-1])
        else:
            parts.append(part)
    return parts


def parsed(format: ReplyFormat, text: str, prompt: str = "", tools: Sequence[Mapping[str, Any]] = TOOLS) -> list[Part]:
    """The parts of a text. Fails unless they are the same however the text is cut."""
    whole = fed(format.reply(prompt, tools), [text])
    assert fed(format.reply(prompt, tools), text) == whole, "character by character"
    for cut in range(1, len(text)):
        assert fed(format.reply(prompt, tools), [text[:cut], text[cut:]]) == whole, f"cut at {cut}: {text[:cut]!r}"
    return whole


def call(index: int, name: str, arguments: str) -> list[Part]:
    return [Call(index, name), Arguments(index, arguments)]


def said(parts: Iterable[Part]) -> str:
    """All that parts say, without whitespace."""
    return "".join("".join(part[-1] for part in parts).split())


def calls_in(parts: Iterable[Part]) -> list[tuple[str, Any]]:
    """The names and decoded arguments of all calls."""
    found: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, Call):
            assert part.index == len(found)
            found.append((part.name, ""))
        elif isinstance(part, Arguments):
            name, text = found[part.index]
            found[part.index] = name, text + part.text
    return [(name, json.loads(text)) for name, text in found]
