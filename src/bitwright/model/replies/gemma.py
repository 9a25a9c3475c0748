"""Gemma 4: `<|tool_call>call:NAME{key:<|"|>text<|"|>,other:[1,true]}<tool_call|>`."""

from __future__ import annotations

import json

from bitwright.model.replies.reply import Reading
from bitwright.model.replies.typed_calls import TypedCalls, literal

QUOTE = '<|"|>'


class Gemma(TypedCalls):
    """JSON but for its strings, which stand between tokens, and its keys, which stand bare."""

    NAME, SIGNS = "gemma4", ("<|tool_call>",)
    OPENS, CLOSES, KEPT = ("<|tool_call>",), ("<tool_call|>",), (QUOTE, "<|channel>")

    def _call(self, mark: str) -> Reading[None]:
        yield from self._expect("call:")
        name, mark = yield from self._until("{")
        self._begin(name.strip())
        self._argue(mark)
        depth = 1
        while depth:
            word, mark = yield from self._until(QUOTE, *"{}[],:")
            if word := word.strip():
                self._argue(json.dumps(word, ensure_ascii=False) if mark == ":" else literal(word))
            self._drop()
            if mark == QUOTE:
                yield from self._string_up_to(QUOTE)
                self._drop()
            else:
                depth += (mark in "{[") - (mark in "}]")
                self._argue(f"{mark} " if mark in ",:" else mark)
