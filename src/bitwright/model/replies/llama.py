"""Llama 3.1 to 3.3: a bare `{"name": ..., "parameters": {...}}`, or `<|python_tag|>` before one or before
`NAME.call(KEY="VALUE")`."""

from __future__ import annotations

import json

from bitwright.model.replies.grammar import ARGUMENTS, CallGrammar
from bitwright.model.replies.json_calls import JsonCalls
from bitwright.model.replies.parts import Text
from bitwright.model.replies.reply import NotACall, Reading
from bitwright.model.replies.typed_calls import literal

KEYS = frozenset({"name", "arguments", "type", "id"})


class Llama(JsonCalls):
    """A bare object is a call only where the reply begins, or after another, and if there is such a tool."""

    NAME, SIGNS = "llama3", ('{"name": function name, "parameters":',)
    OPENS = ("<|python_tag|>",)
    GRAMMAR = CallGrammar([['{"name": "NAME", "parameters": ', ARGUMENTS, "}"]], between=["; "], apart=False)

    def _read(self) -> Reading[None]:
        self._only_known, calls = True, -1
        while self._opens and self._calls > calls and (mark := (yield from self._begins_with("{"))):
            calls = self._calls
            yield from self._attempt(Text, mark)
            if self._calls > calls and (yield from self._begins_with(";")):
                yield from self._drop_mark()
        self._only_known = False
        yield from super()._read()

    def _call(self, mark: str) -> Reading[None]:
        if mark == "{":
            yield from self._members(KEYS)
        elif (yield from self._begins_with("{")):
            yield from self._members()
        else:
            yield from self._python()

    def _python(self) -> Reading[None]:
        """Read `NAME.call(KEY=VALUE, ...)`, with values in JSON."""
        name, _ = yield from self._until(".call(")
        if not name.strip().isidentifier():
            raise NotACall
        self._begin(name.strip())
        self._argue("{")
        separator, mark = "", (yield from self._begins_with(")"))
        while mark != ")":
            key, _ = yield from self._until("=")
            value = yield from self._value()
            self._argue(f"{separator}{json.dumps(key.strip(), ensure_ascii=False)}: {literal(value)}")
            self._drop()
            separator, mark = ", ", (yield from self._expect(",", ")"))
        self._argue("}")
