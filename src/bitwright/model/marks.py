"""Finding marks in text that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable


def first(text: str, marks: Iterable[str], start: int = 0) -> tuple[int, str]:
    """Where the first of `marks` begins, from `start` on, and which it is; (-1, "") if there is none."""
    found = [(at, mark) for mark in marks if (at := text.find(mark, start)) >= 0]
    return min(found, default=(-1, ""))


def begun(text: str, mark: str) -> int:
    """How many characters at the end of `text` begin `mark`, without being all of it."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)
