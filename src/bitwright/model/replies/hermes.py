"""Hermes, Qwen 2.5, Qwen 3, SmolLM3, Granite 4: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`."""

from __future__ import annotations

from bitwright.model.replies.grammar import ARGUMENTS, CallGrammar
from bitwright.model.replies.json_calls import JsonCalls
from bitwright.model.replies.reply import Reading


class Hermes(JsonCalls):
    """JSON objects between tags, one per call."""

    NAME, SIGNS = "hermes", ("<tool_call>",)
    OPENS, CLOSES = ("<tool_call>",), ("</tool_call>",)
    GRAMMAR = CallGrammar(
        [["<[<tool_call>]>", '\n{"name": "NAME", "arguments": ', ARGUMENTS, "}\n", "<[</tool_call>]>"]], between=["\n"]
    )

    def _call(self, mark: str) -> Reading[None]:
        yield from self._object()
