"""Text that comes in pieces, as lines of a terminal. What further text cannot change is rendered once."""

from __future__ import annotations

import functools
import io
import re
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

from bitwright.escapes import escaped

Line = list[tuple[str, str]]  # style and text, as prompt_toolkit has it
# Joiners, colours of skin and the like: terminals disagree about how wide the emoji is that they make of several.
_JOINERS = re.compile("(?<=[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d|\ufe0f|[\U0001f3fb-\U0001f3ff]")
_FLAGS = {0x1F1E6 + i: chr(ord("A") + i) for i in range(26)}  # pairs of these are flags, two or four columns wide
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray", "brightblack", "brightred",
            "brightgreen", "brightyellow", "brightblue", "brightmagenta", "brightcyan", "white")  # fmt: skip
_ATTRIBUTES = ("bold", "dim", "italic", "underline", "strike", "reverse")
_THEME = Theme({
    "markdown.code": "cyan", "markdown.h1": "bold underline", "markdown.h2": "bold underline", "markdown.h3": "bold",
    "markdown.h4": "bold", "markdown.item.number": "bold", "markdown.block_quote": "italic",
})  # fmt: skip


class Unit(NamedTuple):
    """A part of a text that is rendered by itself. joined: no empty line comes before it."""

    text: str
    joined: bool = True


class Prose:
    """Plain text in one style; its units are lines."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self.style = style
        self.units: list[Unit] = []
        self._rest, self._joined = "", True  # text that may still change, and whether it continues the last unit
        self._lines, self._rendered = list[Line](), 0  # of so many units
        self._tail, self._tail_of = list[Line](), ""
        self._width = 0
        self.feed(text)

    def feed(self, text: str) -> None:
        """Further text. Control characters are escaped."""
        self._rest += escaped(text)

    def finish(self) -> None:
        """No further text comes."""
        self._settle(final=True)
        self._rest = ""

    def lines(self, width: int) -> list[Line]:
        """All of it, for so many columns."""
        self._settle(final=False)
        if width != self._width:
            self._lines, self._rendered, self._tail_of, self._width = [], 0, "", width
        for unit in self.units[self._rendered :]:
            self._lines += self._laid_out(unit)
        self._rendered = len(self.units)
        if self._tail_of != self._rest:
            self._tail_of = self._rest
            self._tail = self._laid_out(Unit(self._rest, self._joined)) if self._rest.strip() else []
        return self._lines + (self._tail if self._rest else [])

    def _laid_out(self, unit: Unit) -> list[Line]:
        lines = self._body(_JOINERS.sub("", unit.text).translate(_FLAGS), self._width)
        return lines if unit.joined else [[], *lines]

    def _settle(self, final: bool) -> None:
        """Move from the rest to the units what no further text changes."""
        *lines, rest = self._rest.split("\n")
        self.units += map(Unit, [*lines, rest] if final and rest else lines)
        self._rest = rest

    def _body(self, text: str, width: int) -> list[Line]:
        return laid_out(Text(text, self.style), width)


def laid_out(renderable: RenderableType, width: int) -> list[Line]:
    """What rich makes of it in so many columns, without spaces at ends of lines."""
    return [_trimmed([_fragment(segment) for segment in line])
            for line in _console(width).render_lines(renderable, pad=False)]  # fmt: skip


def _trimmed(line: Line) -> Line:
    while line and not line[-1][1].rstrip():
        line.pop()
    return [*line[:-1], (line[-1][0], line[-1][1].rstrip())] if line else []


@functools.lru_cache(maxsize=2)
def _console(width: int) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard", theme=_THEME,
                   legacy_windows=False, highlight=False)  # fmt: skip


def _fragment(segment: Segment) -> tuple[str, str]:
    """Without control characters that Markdown wrote as numbers (`&#8238;`): rich gave them no room."""
    text = segment.text
    if escaped(text) != text:
        text = "".join(c for c in text if escaped(c) == c)
    return _style(segment.style) if segment.style else "", text


@functools.lru_cache(maxsize=256)
def _style(style: Style) -> str:
    """A style of rich in prompt_toolkit's words, in the terminal's own 16 colours."""
    words = [name for name in _ATTRIBUTES if getattr(style, name)]
    for ground, colour in (("fg", style.color), ("bg", style.bgcolor)):
        if colour is not None and colour.number is not None and colour.number < len(_COLOURS):
            words.append(f"{ground}:ansi{_COLOURS[colour.number]}")
    return " ".join(words)
