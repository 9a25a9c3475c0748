"""The prompt set: 300 prompts in five kinds, made from this project's own templates by a fixed seed.

The set has a version and a SHA-256. Both are constants: a set that comes out differently, because a template was edited
or a draw changed, is refused. A new set is a new version.

    python -m bitwright.measure.horizon.prompts > horizon-1.jsonl

prints it, one JSON object a line, for other engines.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from bitwright.errors import BitwrightError
from bitwright.measure.horizon import code_edits, documents, mathematics, scripts, terminal
from bitwright.measure.horizon.draw import Draw

VERSION = "horizon-1"
SHA256 = "8c980411f4e134ea944ced8bc89f5782d0ed7009c106a3b9f0c972fe03013279"
EACH = 60  # prompts of a kind
KINDS = {
    "terminal": terminal.turns,
    "code": code_edits.turns,
    "mathematics": mathematics.turns,
    "scripts": scripts.turns,
    "documents": documents.turns,
}


@dataclass(frozen=True)
class Item:
    """A prompt: its kind, its number within the kind, and what was said, user and assistant in turn, the user last."""

    kind: str
    number: int
    turns: tuple[str, ...]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as chat templates take it."""
        roles = ("user", "assistant")
        return [{"role": roles[place % 2], "content": text} for place, text in enumerate(self.turns)]

    @property
    def line(self) -> str:
        """The prompt as a line of JSON."""
        return json.dumps({"kind": self.kind, "number": self.number, "messages": self.messages}, ensure_ascii=False)


@functools.cache
def items() -> tuple[Item, ...]:
    """The set, kind after kind. BitwrightError if it is not the one that VERSION names."""
    found = tuple(
        Item(kind, number, tuple(turns(Draw(f"{VERSION}/{kind}/{number}"), number)))
        for kind, turns in KINDS.items()
        for number in range(EACH)
    )
    if (digest := sha256_of(found)) != SHA256:
        raise BitwrightError(f"the prompts are not {VERSION}: expected SHA-256 {SHA256}, got {digest}")
    return found


def first(each: int) -> tuple[Item, ...]:
    """The first `each` prompts of every kind."""
    return tuple(item for item in items() if item.number < each)


def sha256_of(items: Iterable[Item]) -> str:
    """SHA-256 of the prompts as lines of JSON in UTF-8, each ended by a newline."""
    return hashlib.sha256("".join(f"{item.line}\n" for item in items).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.buffer.write("".join(f"{item.line}\n" for item in items()).encode())  # on every system the same bytes
