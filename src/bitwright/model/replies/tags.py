"""Calls in tags, an argument each: Qwen3-Coder and Qwen 3.5, Seed-OSS, MiniMax M2, DeepSeek V3.2 and V4."""

from __future__ import annotations

from typing import ClassVar

from bitwright.model.replies.parts import Text
from bitwright.model.replies.reply import NotACall, Reading
from bitwright.model.replies.typed_calls import STRING, TypedCalls

STRINGS = {' string="true"': STRING, ' string="false"': frozenset[str]()}  # what DeepSeek says of a value's type


class Tags(TypedCalls):
    """`<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`, as Qwen writes it, who
    sometimes leaves the outer tags out; a line break on either side of a value belongs to the tags."""

    NAME = "qwen-tags"
    SIGNS: ClassVar[tuple[str, ...]] = ("<tool_call>", "<function=", "<parameter=")
    OPENS: ClassVar[tuple[str, ...]] = ("<tool_call>", "<function=")
    CLOSES: ClassVar[tuple[str, ...]] = ("</tool_call>",)
    NAMED: ClassVar[str] = ">"  # after the tool's name
    KEYED: ClassVar[str] = ">"  # after an argument's name
    PARAMETER: ClassVar[str] = "<parameter="  # before an argument's name
    VALUE_ENDS: ClassVar[tuple[str, ...]] = ("\n</parameter>", "</parameter>")
    ENDS: ClassVar[str] = "</function>"

    def _call(self, mark: str) -> Reading[None]:
        function = self.OPENS[1]
        if mark != function:
            yield from self._expect(function)
        name, _ = yield from self._until(self.NAMED)
        if mark == function and not self._calls and name not in self._schemas:
            raise NotACall
        self._begin(name)
        while (mark := (yield from self._find(Text, self.PARAMETER, self.ENDS))) == self.PARAMETER:
            key, _ = yield from self._until(self.KEYED)
            yield from self._parameter(key)
        if mark:
            self._end_arguments()

    def _parameter(self, key: str) -> Reading[None]:
        """Read the value of an argument."""
        if len(self.VALUE_ENDS) > 1 and (yield from self._next()) == "\n":
            self._at += 1
        yield from self._argument(key, *self.VALUE_ENDS)


class SeedTags(Tags):
    """The same between `<seed:tool_call>`, with values as they are."""

    NAME, SIGNS = "seed-tags", ("<seed:tool_call>",)
    OPENS, CLOSES = ("<seed:tool_call>", "<function="), ("</seed:tool_call>",)
    VALUE_ENDS = ("</parameter>",)


class MiniMaxTags(Tags):
    """`<minimax:tool_call><invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke></minimax:tool_call>`."""

    NAME, SIGNS = "minimax-tags", ("<minimax:tool_call>", "<invoke name=")
    OPENS, CLOSES = ("<minimax:tool_call>", '<invoke name="'), ("</minimax:tool_call>",)
    NAMED, KEYED, PARAMETER, VALUE_ENDS, ENDS = '">', '">', '<parameter name="', ("</parameter>",), "</invoke>"


class DeepSeekTags(Tags):
    """DeepSeek V3.2's `<｜DSML｜function_calls><｜DSML｜invoke name="NAME">`, whose parameters say whether they are
    strings; V4's outer tag is `<｜DSML｜tool_calls>`."""

    NAME, SIGNS = "deepseek-tags", ("｜DSML｜", "invoke name=")
    OPENS = ("<｜DSML｜function_calls>", '<｜DSML｜invoke name="', "<｜DSML｜tool_calls>")
    CLOSES = ("</｜DSML｜function_calls>", "</｜DSML｜tool_calls>")
    NAMED, KEYED, PARAMETER, VALUE_ENDS = '">', '"', '<｜DSML｜parameter name="', ("</｜DSML｜parameter>",)
    ENDS = "</｜DSML｜invoke>"

    def _parameter(self, key: str) -> Reading[None]:
        says, _ = yield from self._until(">")
        if says not in STRINGS:
            raise NotACall
        yield from self._argument(key, *self.VALUE_ENDS, types=STRINGS[says])
