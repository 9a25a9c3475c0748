"""Mistral: `[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`, later `[TOOL_CALLS]NAME[ARGS]{...}`."""

from __future__ import annotations

from bitwright.model.replies.grammar import ARGUMENTS, CallGrammar
from bitwright.model.replies.json_calls import JsonCalls
from bitwright.model.replies.reply import Reading

CALL_ID, ARGS = "[CALL_ID]", "[ARGS]"


class Mistral(JsonCalls):
    """A list of objects, or a mark before every name; an id may stand between that and the arguments."""

    NAME, SIGNS = "mistral", ("[TOOL_CALLS]",)
    OPENS, KEPT = ("[TOOL_CALLS]",), (CALL_ID, ARGS)
    GRAMMAR = CallGrammar([["<[[TOOL_CALLS]]>", "NAME", "<[[ARGS]]>", ARGUMENTS]])

    def _call(self, mark: str) -> Reading[None]:
        if (yield from self._begins_with("[")):
            mark = ","
            while mark == ",":
                yield from self._object()
                mark = yield from self._expect(",", "]")
            return
        name, mark = yield from self._until(CALL_ID, ARGS, "{")
        if mark == CALL_ID:
            _, mark = yield from self._until(ARGS, "{")
        if mark == "{":
            self._at -= 1
        self._begin(name.strip())
        yield from self._arguments()
