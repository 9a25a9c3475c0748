"""gpt-oss's harmony: messages `<|start|>assistant<|channel|>CHANNEL to=functions.NAME<|message|>...<|end|>`."""

from __future__ import annotations

import re

from bitwright.model.replies.grammar import ARGUMENTS, CallGrammar
from bitwright.model.replies.json_calls import JsonCalls
from bitwright.model.replies.parts import Arguments, Reasoning, Text
from bitwright.model.replies.reply import NotACall, Reading

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=(functions\.)?([^\s<]+)")


class Harmony(JsonCalls):
    """The channel `analysis` holds reasoning, others text; what is sent to a tool is a call. A prompt ends within the
    header of a message or after it."""

    NAME, SIGNS = "harmony", (CHANNEL, MESSAGE)
    OPENS, CLOSES, KEPT = (START, CHANNEL), ENDS, (MESSAGE, "<|constrain|>")
    GRAMMAR = CallGrammar(
        [[f"<[{CHANNEL}]>", "commentary to=functions.NAME ", "<[<|constrain|>]>", "json", f"<[{MESSAGE}]>", ARGUMENTS]],
        between=["<[<|call|>]>", f"<[{START}]>", "assistant"],
        apart=False,
    )

    def _read(self) -> Reading[None]:
        self._spoke = set[type]()
        header = self._prompt.rpartition(START)[2]
        if header.endswith(MESSAGE):
            yield from self._message(header)
        elif mark := (yield from self._begins_with("to=", *self.OPENS, MESSAGE)):
            yield from self._attempt(Text, mark)
        while mark := (yield from self._find(Text, *self.OPENS, *ENDS, trim=False)):
            if mark in ENDS:
                self._drop()
            else:
                yield from self._attempt(Text, mark)

    def _call(self, mark: str) -> Reading[None]:
        header, end = "", mark
        for last in ("to=", START, CHANNEL):  # the parts of a header, in their order
            if end == last:
                more, end = yield from self._until(*self.OPENS, MESSAGE)
                header += last + more
        if end != MESSAGE:
            raise NotACall
        yield from self._message(header)

    def _message(self, header: str) -> Reading[None]:
        """Read a message after its header."""
        channel, recipient = _CHANNEL.search(header), _RECIPIENT.search(header)
        if self._opens and recipient and (recipient[1] or recipient[2] in self._schemas):
            self._begin(recipient[2])
            yield from self._content()
            return
        kind = Reasoning if channel and channel[1] == "analysis" else Text
        if kind in self._spoke:
            self._put(kind("\n\n"))
        self._spoke.add(kind)
        yield from self._find(kind, *self.OPENS, *ENDS, trim=False)
        self._at = 0

    def _content(self) -> Reading[None]:
        """Read the arguments of a call; the same tools may take other content than JSON."""
        mark = yield from self._begins_with("{", *ENDS)
        self._at = 0
        if mark == "{":
            yield from self._arguments()
        elif mark or not self._held.strip():
            self._argue("{}")
        else:
            yield from self._find(lambda text: Arguments(self._calls - 1, text), *self.OPENS, *ENDS)
            self._at = 0
