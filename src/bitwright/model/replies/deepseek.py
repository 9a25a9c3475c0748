"""DeepSeek V3, R1 and V3.1: calls between `<｜tool▁calls▁begin｜>` and `<｜tool▁calls▁end｜>`."""

from __future__ import annotations

from bitwright.model.replies.grammar import ARGUMENTS, CallGrammar
from bitwright.model.replies.json_calls import JsonCalls
from bitwright.model.replies.reply import Reading

CALLS, CALL, SEPARATOR = "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"


class DeepSeek(JsonCalls):
    """V3.1 writes `NAME<｜tool▁sep｜>{...}`; before it, that was `function<｜tool▁sep｜>NAME`, a line break, and the
    object as a block of Markdown."""

    NAME, SIGNS = "deepseek", (CALLS,)
    OPENS, CLOSES, KEPT = (CALLS, CALL), ("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"), (SEPARATOR,)
    GRAMMAR = CallGrammar(
        [
            [f"<[{CALL}]>", "NAME", f"<[{SEPARATOR}]>", ARGUMENTS, f"<[{CLOSES[0]}]>"],
            [f"<[{CALL}]>", "function", f"<[{SEPARATOR}]>", "NAME\n```json\n", ARGUMENTS, "\n```", f"<[{CLOSES[0]}]>"],
        ],
        [f"<[{CALLS}]>"],
        end=[f"<[{CLOSES[1]}]>"],
    )

    def _call(self, mark: str) -> Reading[None]:
        if mark == CALLS:
            yield from self._expect(CALL)
        name, _ = yield from self._until(SEPARATOR)
        if (yield from self._begins_with("{")):
            self._at -= 1
            self._begin(name.strip())
            yield from self._arguments()
        else:
            name, _ = yield from self._until("\n")
            yield from self._expect("```json", "```")
            self._begin(name.strip())
            yield from self._arguments()
            yield from self._begins_with("```")
