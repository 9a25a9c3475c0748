"""Feeding replies to a parser in pieces, and what its parts come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bitwright.model.replies import Arguments, Call, Part, Reasoning, Reply, ReplyFormat, Text

PROPERTIES = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
    "share": {"type": "number"},
    "exact": {"type": "boolean"},
    "where": {"type": "object"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "unit": {"type": ["string", "null"]},
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": PROPERTIES}}}
    for name in ("weather", "search")
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


__all__ = ["PROPERTIES", "TOOLS", "Arguments", "Call", "Part", "Reasoning", "Text", "call", "fed", "parsed", "said"]
