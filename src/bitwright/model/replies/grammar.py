"""Grammars that hold a reply to calls of given tools, in llguidance's dialect of Lark.

Marks are written `<[MARK]>`: whether one is a control token or text, the vocabulary knows (`engine.constraint`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ARGUMENTS = "ARGUMENTS"  # stands for the JSON of a call's arguments
NAME = "NAME"  # stands for the tool's name, in any text
Written = Sequence[str]  # marks, ARGUMENTS, and other texts


@dataclass(frozen=True)
class CallGrammar:
    """How calls are written: one (in one of several ways), and what stands before, between and after all. `apart`:
    whether a mark tells calls from text, so that text may come instead of them."""

    calls: Sequence[Written]
    begin: Written = ()
    between: Written = ()
    end: Written = ()
    apart: bool = True

    def lark(
        self, schemas: Mapping[str, Mapping[str, Any]], required: bool, opens: Sequence[str], single: bool = False,
        answer: Any = None,
    ) -> str | None:  # fmt: skip
        """The grammar of one call or more (of a `single` one) of the tools whose parameters have these schemas. Unless
        it is `required`, JSON of the schema `answer` may come instead if there is one, else any text before or instead
        that has none of the marks `opens`; None if text cannot be told apart."""
        if not schemas or not (required or self.apart or answer is not None):
            return None
        rules = []
        for n, (name, schema) in enumerate(schemas.items()):
            rules.append(f"call_{n}: {' | '.join(_line(call, name, n) for call in self.calls)}")
            rules.append(f"arguments_{n}: %json {json.dumps(schema or {'type': 'object'})}")
        rules.append(f"call: {' | '.join(f'call_{n}' for n in range(len(schemas)))}")
        more = "" if single else f"({_line(self.between)} call)*"
        calls, end = f"{_line(self.begin)} call {more} {_line(self.end)}", f"{more} {_line(self.end)}"
        if required:
            return "\n".join([f"start: {calls}", *rules])
        if answer is not None:
            return "\n".join([f"start: {calls} | answer", f"answer: %json {json.dumps(answer)}", *rules])
        mark, *begin = self.begin or self.calls[0]
        ways = [_line(call[1:], name, n) for n, name in enumerate(schemas) for call in self.calls]
        rules += [
            f"rest: ({f'{_line(begin)} call' if self.begin else ' | '.join(ways)}) {end}",
            f"TEXT: /(?s:.*)/ & ~/(?s:.*)({'|'.join(map(_escaped, opens))})(?s:.*)/",
            f"marked[lazy]: /(?s:.*){_escaped(mark[2:-2])}/",  # for vocabularies in which the mark is text
        ]
        return "\n".join([f"start: TEXT | TEXT {mark} rest | marked rest", *rules])


def _line(pieces: Written, name: str = "", number: int = 0) -> str:
    """Pieces as symbols of Lark."""
    return " ".join(
        f"arguments_{number}"
        if piece == ARGUMENTS
        else piece
        if piece.startswith("<[")
        else json.dumps(piece.replace(NAME, name), ensure_ascii=False)
        for piece in pieces
    )


def _escaped(text: str) -> str:
    """A text as a regular expression, in which each character stands for itself."""
    return "".join(character if character.isalnum() else f"\\x{{{ord(character):x}}}" for character in text)
