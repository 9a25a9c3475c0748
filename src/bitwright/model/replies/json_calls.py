"""Calls that are JSON objects: `{"name": ..., "arguments": {...}}`."""

from __future__ import annotations

import json
from collections.abc import Container

from bitwright.model.replies.json_value import JsonValue
from bitwright.model.replies.reply import NotACall, Reading, Reply

ALIASES = {"parameters": "arguments"}  # Llama's word


class JsonCalls(Reply):
    """Reads such objects. Their other keys are read over."""

    def _object(self) -> Reading[None]:
        """Read an object. The call begins with its name; arguments that come earlier wait for it."""
        yield from self._expect("{")
        yield from self._members()

    def _members(self, keys: Container[str] | None = None) -> Reading[None]:
        """Read an object after its bracket. `keys`: those it may have."""
        calls, early, seen = self._calls, "", set[str]()
        while True:
            key = yield from self._string()
            key = ALIASES.get(key, key)
            if key in seen or (keys is not None and key not in keys):
                raise NotACall
            seen.add(key)
            yield from self._expect(":")
            if key == "name":
                self._begin((yield from self._string()))
                self._argue(early)
            elif key != "arguments":
                yield from self._value()
            elif self._calls > calls:
                yield from self._arguments()
            else:
                early = _object_in((yield from self._value()))
            if (yield from self._expect(",", "}")) == "}":
                break
        if self._calls == calls:
            raise NotACall
        if "arguments" not in seen:
            self._argue("{}")

    def _arguments(self) -> Reading[None]:
        """Read a JSON value as the arguments of the latest call; an object is put out as it comes."""
        yield from self._space()
        if (yield from self._next()) != "{":
            self._argue(_object_in((yield from self._value())))
            self._drop()
            return
        self._drop()
        value = JsonValue()
        while not value.ended:
            self._at = value.feed(self._held)
            self._argue(self._held[: self._at])
            self._drop()
            if not value.ended:
                yield from self._more()

    def _value(self) -> Reading[str]:
        """Read a JSON value and return it as it is written."""
        yield from self._space()
        start, value = self._at, JsonValue()
        while not value.ended:
            self._at += value.feed(self._held[self._at :])
            if not value.ended:
                yield from self._more()
        return self._held[start : self._at]

    def _string(self) -> Reading[str]:
        """Read a JSON string and return what it says. Raises NotACall for another value."""
        yield from self._space()
        if (yield from self._next()) != '"':
            raise NotACall
        return _decoded((yield from self._value()))


def _object_in(value: str) -> str:
    """The object that a value stands for: some models write it as a string, or null for none."""
    if value == "null":
        return "{}"
    return _decoded(value) if value.startswith('"') else value


def _decoded(value: str) -> str:
    try:
        found = str(json.loads(value, strict=False))
        found.encode()  # half of a surrogate pair is no text
        return found
    except ValueError as error:
        raise NotACall from error
