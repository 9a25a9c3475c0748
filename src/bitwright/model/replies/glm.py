"""GLM 4.5 and later: `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`."""

from __future__ import annotations

from bitwright.model.replies.parts import Text
from bitwright.model.replies.reply import NotACall, Reading
from bitwright.model.replies.typed_calls import TypedCalls

KEY, CLOSE = "<arg_key>", "</tool_call>"


class Glm(TypedCalls):
    """Names, keys and values in tags; whitespace between those belongs to them."""

    NAME, SIGNS = "glm", ("<arg_key>",)
    OPENS, CLOSES = ("<tool_call>",), (CLOSE,)

    def _call(self, mark: str) -> Reading[None]:
        yield from self._space()
        name, mark = yield from self._until("\n", KEY, CLOSE)
        name = name.strip()
        if any(character in ' "{}<>' for character in name):
            raise NotACall
        self._begin(name)
        if mark == "\n":
            mark = yield from self._find(Text, KEY, CLOSE)
        while mark == KEY:
            key, _ = yield from self._until("</arg_key>")
            yield from self._expect("<arg_value>")
            yield from self._argument(key, "</arg_value>")
            mark = yield from self._find(Text, KEY, CLOSE)
        if mark:
            self._end_arguments()
