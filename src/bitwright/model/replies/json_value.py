"""The end of a JSON value in text that comes in pieces."""

from __future__ import annotations

import re

_OUTSIDE, _QUOTED, _AFTER_BARE = re.compile(r'["{}\[\]]'), re.compile(r'["\\]'), re.compile(r"[\s,}\])]")


class JsonValue:
    """Finds where one value ends: an object or array with its last bracket, a string with its quote, any other before
    a comma, a closing bracket or whitespace. Not a check: what lies between may be invalid JSON."""

    def __init__(self) -> None:
        self.ended = False
        self._begun = self._bare = self._quoted = self._escaped = False
        self._depth = 0

    def feed(self, text: str) -> int:
        """How many characters of the next piece of text belong to the value; all of them, unless it has `ended`."""
        if text and not self._begun:
            self._begun, self._bare = True, text[0] not in '"{['
        if self._bare:
            after = _AFTER_BARE.search(text)
            self.ended = after is not None
            return after.start() if after else len(text)
        at = int(self._escaped and bool(text))
        self._escaped &= not text
        while found := (_QUOTED if self._quoted else _OUTSIDE).search(text, at):
            at = found.end()
            if found[0] == "\\":
                self._escaped = at == len(text)
                at += 1
                continue
            if found[0] == '"':
                self._quoted = not self._quoted
            else:
                self._depth += 1 if found[0] in "{[" else -1
            if not self._quoted and self._depth <= 0:
                self.ended = True
                return at
        return len(text)
