"""Markdown that comes in pieces, as lines of a terminal, with highlighted code."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown as rich_markdown
from rich.console import Console, ConsoleOptions, RenderResult
from rich.syntax import Syntax

from bitwright.cli.screen.prose import Line, Prose, Unit, laid_out

# Tags are text here, and so are link definitions: rich would show neither.
PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("reference")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
MOST_CODE = 40  # lines of code in a unit: highlighting takes up to a millisecond for each


class Code(rich_markdown.CodeBlock):
    """Code indented by two columns, in the terminal's own colours."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip("\n")
        yield Syntax(code, self.lexer_name, theme="ansi_dark", word_wrap=True, padding=(0, 0, 0, 2))


class Heading(rich_markdown.Heading):
    """A heading at the left."""

    LEVEL_ALIGN = dict.fromkeys(rich_markdown.Heading.LEVEL_ALIGN, "left")


class Document(rich_markdown.Markdown):
    """Markdown in the dialect of PARSER. Line breaks stay: models break lines where they mean it."""

    elements: ClassVar = {**rich_markdown.Markdown.elements, "fence": Code, "code_block": Code, "heading_open": Heading}

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = PARSER.parse(text)
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "softbreak":
                    child.type = "hardbreak"


class Markdown(Prose):
    """Its units are blocks, items of lists, and pieces of long code."""

    def _settle(self, final: bool) -> None:
        end = len(self._rest) if final else self._rest.rfind("\n") + 1  # an incomplete line may become anything
        lines = self._rest[:end].split("\n")
        found = starts(PARSER.parse(self._rest[:end]))
        if not found:
            return
        found[0] = found[0][0], self._joined
        for (start, joined), (stop, _) in pairwise([*found, (len(lines), False)] if final else found):
            self._add("\n".join(lines[start:stop]).rstrip("\n"), joined)
        if not final:
            start, self._joined = found[-1]
            self._rest = self._add_code("\n".join(lines[start:])) + self._rest[end:]

    def _add(self, text: str, joined: bool) -> None:
        self._joined = joined
        rest = self._add_code(text)
        self.units.append(Unit(rest, self._joined))

    def _add_code(self, text: str) -> str:
        """Add pieces of long code, up to empty lines if there are any, and return the rest, which begins as it did."""
        code = text.rstrip("\n")
        lines, end = code.split("\n"), text[len(code) :]
        while FENCE.match(code) and len(lines) > MOST_CODE + 3:
            empty = [i for i in range(MOST_CODE // 2, MOST_CODE + 1) if not lines[i].strip()]
            cut = empty[-1] if empty else MOST_CODE + 1
            self.units.append(Unit("\n".join(lines[:cut]), self._joined))
            self._joined = True
            lines = [lines[0], *lines[cut:]]
        return "\n".join(lines) + end

    def _body(self, text: str, width: int) -> list[Line]:
        lines = laid_out(Document(text), width)
        while lines and not lines[0] and not FENCE.match(text):  # rich's own, before a list
            del lines[0]
        return lines


def starts(tokens: list[Token]) -> list[tuple[int, bool]]:
    """The lines at which blocks and items of lists begin, and whether an item before it is of the same list."""
    found, first = [], False
    for token in tokens:
        if token.map is None or token.nesting < 0:
            continue
        if token.type in ("bullet_list_open", "ordered_list_open") and token.level == 0:
            first = True
        elif token.level == 0:
            found.append((token.map[0], False))
        elif token.type == "list_item_open" and token.level == 1:
            found.append((token.map[0], not first))
            first = False
    return found
