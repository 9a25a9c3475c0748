"""The parser of one reply; every format is a subclass."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from bitwright.model.marks import begun, first
from bitwright.model.replies.grammar import CallGrammar
from bitwright.model.replies.parts import Arguments, Call, Part, Reasoning, Text

LONGEST_NAME = 256  # characters of a name, a key or a header: more are text

T = TypeVar("T")
Reading = Generator[None, None, T]  # yields whenever it needs more text
Marks = tuple[str, str]  # opens, closes


class NotACall(Exception):
    """What follows a mark is not what it announces, or the reply ended there."""


class Reply:
    """Takes a reply apart as it comes; by itself, into text and reasoning.

    Reasoning stands between the two `reasoning` marks, and only where the reply begins; `prompt` may have opened it.
    Without `tools` (as in a chat request, `{"type": "function", "function": {...}}` each) nothing is a call.

    Whitespace around a mark belongs to the mark: what a template puts around a part does not become a part. Nothing
    else is lost. What follows a mark and is not a call comes out as text with the mark; what is wrong after a call has
    begun comes out as text, too. A call within reasoning ends it, if there is such a tool. A reply of a `single` call
    is `complete` after it: what else comes is left out.
    """

    NAME: ClassVar[str] = "plain"
    SIGNS: ClassVar[tuple[str, ...]] = ()  # a template that has all of these uses the format
    OPENS: ClassVar[tuple[str, ...]] = ()  # marks before calls
    CLOSES: ClassVar[tuple[str, ...]] = ()  # marks after calls, which may be missing
    KEPT: ClassVar[tuple[str, ...]] = ()  # further tokens whose text it reads
    GRAMMAR: ClassVar[CallGrammar | None] = None  # how calls are written, if a grammar can say so

    def __init__(
        self,
        prompt: str = "",
        tools: Sequence[Mapping[str, Any]] = (),
        reasoning: Marks | None = None,
        single: bool = False,
    ) -> None:
        self._schemas = schemas(tools)
        self._opens = self.OPENS if tools else ()
        self._reasoning, self._prompt = reasoning, prompt
        self._single, self.complete = single, False
        self._parts: list[Part] = []
        self._calls = 0
        self._only_known = False  # whether only names of tools make a call
        self._held = ""  # text that is not yet a part
        self._at = 0  # characters of it that were read as a part of a call
        self._ended = False
        self._steps = self._read()
        next(self._steps)

    def feed(self, text: str) -> list[Part]:
        """The parts that the next piece of text completes. Held back is only what may be, or belong to, a mark."""
        self._held += text
        next(self._steps, None)
        parts, self._parts = self._parts, []
        return parts

    def finish(self) -> list[Part]:
        """The rest, once the reply has ended."""
        self._ended = True
        return self.feed("")

    def _read(self) -> Reading[None]:
        """Read the whole reply."""
        if self._reasoning:
            opens, _ = self._reasoning
            if self._prompt.rstrip().endswith(opens) or (yield from self._begins_with(opens)):
                yield from self._reason(*self._reasoning)
        while mark := (yield from self._find(Text, *self._opens, *(self.CLOSES if self._calls else ()))):
            if mark in self.CLOSES:
                yield from self._drop_mark()
            else:
                yield from self._attempt(Text, mark)

    def _call(self, mark: str) -> Reading[None]:
        """Read what follows the mark of a call; raises NotACall."""
        raise NotImplementedError

    def _reason(self, opens: str, closes: str) -> Reading[None]:
        """Read reasoning up to its end, after its beginning was read."""
        yield from self._drop_mark()
        self._only_known, calls = True, self._calls
        while self._calls == calls and (mark := (yield from self._find(Reasoning, closes, *self._opens))):
            if mark == closes:
                yield from self._drop_mark()
                break
            yield from self._attempt(Reasoning, mark)
        self._only_known = False

    def _attempt(self, kind: Callable[[str], Part], mark: str) -> Reading[None]:
        """Read a call. If it is none, its mark is a `kind`, and so is what follows up to the next mark."""
        calls, end = self._calls, self._at
        try:
            yield from self._call(mark)
        except NotACall:
            self._at = 0
            if self._calls == calls:
                self._put(kind(self._held[:end]))
                self._held = self._held[end:]
                return
        self.complete = self._single and self._calls > 0
        yield from self._drop_mark()

    def _begin(self, name: str) -> None:
        """A call's name is known. Raises NotACall if it is none."""
        if not name or (self._only_known and name not in self._schemas):
            raise NotACall
        self._drop()
        self.complete = self._single and self._calls > 0
        self._put(Call(self._calls, name))
        self._calls += 1

    def _argue(self, text: str) -> None:
        """A piece of the latest call's arguments."""
        self._put(Arguments(self._calls - 1, text))

    def _put(self, part: Part) -> None:
        """Add a part, joined to the last if both are pieces of one thing; none to a reply that is complete."""
        if self.complete:
            return
        last = self._parts[-1] if self._parts else None
        if isinstance(part, Call):
            self._parts.append(part)
        elif last is not None and type(last) is type(part) and last[:-1] == part[:-1]:
            self._parts[-1] = part._replace(text=last[-1] + part.text)
        elif part.text:
            self._parts.append(part)

    def _drop(self) -> None:
        """Forget what was read."""
        self._held, self._at = self._held[self._at :], 0

    def _drop_mark(self) -> Reading[None]:
        """Forget what was read, and whitespace after it."""
        self._drop()
        while not (rest := self._held.lstrip()) and not self._ended:
            yield
        self._held = rest

    def _more(self) -> Reading[None]:
        """Wait for text. Raises NotACall at the end of the reply."""
        if self._ended:
            raise NotACall
        yield

    def _find(self, kind: Callable[[str], Part], *marks: str, trim: bool = True) -> Reading[str]:
        """Put out what comes before the first of `marks`, and return that mark, which counts as read; "" at the end of
        the reply. `trim`: whitespace before a mark belongs to it. What was read before is forgotten."""
        self._drop()
        while True:
            at, mark = first(self._held, marks)
            end = at if mark else len(self._held)
            if not mark and not self._ended:
                end -= max((begun(self._held, mark) for mark in marks), default=0)
            if trim and marks and (mark or not self._ended):
                end = len(self._held[:end].rstrip())
            self._put(kind(self._held[:end]))
            self._held = self._held[end:]
            if mark or self._ended:
                self._at = at - end + len(mark) if mark else 0
                return mark
            yield

    def _begins_with(self, *marks: str) -> Reading[str]:
        """Read one of `marks` and whitespace before it, and return it; "" if something else comes."""
        start = self._at
        try:
            return (yield from self._expect(*marks))
        except NotACall:
            self._at = start
            return ""

    def _expect(self, *marks: str) -> Reading[str]:
        """Read one of `marks` and whitespace before it, and return it; of two that begin alike, the longer must come
        first. Raises NotACall."""
        yield from self._space()
        while True:
            for mark in marks:
                if self._held.startswith(mark, self._at):
                    self._at += len(mark)
                    return mark
                if mark.startswith(self._held[self._at : self._at + len(mark)]):
                    break
            else:
                raise NotACall
            yield from self._more()

    def _space(self) -> Reading[None]:
        """Read whitespace, and wait for what follows it. Raises NotACall."""
        while (yield from self._next()).isspace():
            self._at += 1

    def _next(self) -> Reading[str]:
        """The next character, which does not count as read. Raises NotACall."""
        while self._at == len(self._held):
            yield from self._more()
        return self._held[self._at]

    def _until(self, *marks: str, most: float = LONGEST_NAME) -> Reading[tuple[str, str]]:
        """Read a text and the first of `marks` after it; returns both. Raises NotACall if it has more than `most`
        characters."""
        start, longest = self._at, max(map(len, marks))
        while True:
            at, mark = first(self._held, marks, start)
            if (at if mark else len(self._held) - longest) - start > most:
                raise NotACall
            if mark:
                self._at = at + len(mark)
                return self._held[start:at], mark
            yield from self._more()


def schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The schemas of the parameters of tools, by their names."""
    functions = [tool.get("function", tool) for tool in tools]
    return {function["name"]: function.get("parameters") or {} for function in functions}
