"""Tables that fit a width: first whole columns are left out, the least important first, then long texts fold."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.cli import wrap

GAP = 2  # spaces between columns
LEAST, LONGEST_WORD = 12, 32  # no folded column is narrower; words up to this length are not broken
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Column:
    """A title and the cells below it, which may be styled."""

    title: str
    right: bool
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        """Characters that the longest cell takes."""
        return max(map(length, (self.title, *self.cells)))

    @property
    def least(self) -> int:
        """Characters below which the column does not fold; numbers do not fold at all."""
        if self.right:
            return self.width
        words = max((len(word) for cell in self.cells for word in STYLE.sub("", cell).split()), default=0)
        return min(self.width, max(LEAST, len(self.title), min(words, LONGEST_WORD)))


def layout(
    headers: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None, drop: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The table's lines, the first of them its titles if it has any, and the titles of columns left out.

    A header that starts with '>' aligns its column right. width: None for any. drop: columns that may be left out.
    """
    rows = [[str(cell) for cell in row] for row in rows]
    columns = [Column(title.removeprefix(">"), title.startswith(">"), tuple(cells))
               for title, *cells in zip(headers, *rows, strict=True)]  # fmt: skip
    left_out = []
    for title in drop:
        if width is None or _total([c.width for c in columns]) <= width:
            break
        left_out += [title for column in columns if column.title == title]
        columns = [column for column in columns if column.title != title]
    widths = _widths(columns, width)
    titles = [[c.title for c in columns]] if any(c.title for c in columns) else []
    lines = [line for row in (*titles, *zip(*(c.cells for c in columns), strict=True))
             for line in _lines(row, columns, widths)]  # fmt: skip
    return lines, left_out


def length(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    return wrap.width(STYLE.sub("", text))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    """The widths of all columns, of which the widest are narrowed until the whole fits, if it can."""
    widths = [column.width for column in columns]
    for i in sorted(range(len(columns)), key=lambda i: -widths[i]):
        if width is not None and (excess := _total(widths) - width) > 0:
            widths[i] = max(columns[i].least, widths[i] - excess)
    return widths


def _lines(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    folded = [fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    found = []
    for i in range(max(map(len, folded))):
        parts = []
        for cell, column, width in zip(folded, columns, widths, strict=True):
            text = cell[i] if i < len(cell) else ""
            space = " " * (width - length(text))
            parts.append(space + text if column.right else text + space)
        found.append((" " * GAP).join(parts).rstrip())
    return found


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken at spaces; styled text stays as it is."""
    if length(text) <= width or STYLE.search(text):
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
