"""Text that arrives in pieces, broken between words to fit a terminal."""

from __future__ import annotations

import unicodedata


class Wrap:
    """Takes text as it comes and gives it back with line breaks between words, so that none is cut at the edge.

    A word is held back until it is complete. Spaces where a line is broken are dropped; all others stay, so indented
    text keeps its indent. A word longer than a line is left to the terminal. Wide characters (Chinese, Japanese) are
    words of their own.
    """

    def __init__(self, columns: int) -> None:
        self.columns, self.column, self.gap, self.word = columns, 0, "", ""

    def feed(self, text: str) -> str:
        """What can be shown now."""
        shown = []
        for character in text:
            if character == "\n":
                shown.append(self.finish() + "\n")
                self.column = 0
            elif character in " \t":
                shown.append(self._word())
                self.gap += " " * (8 - (self.column + len(self.gap)) % 8) if character == "\t" else " "
            else:
                self.word += character
                if unicodedata.east_asian_width(character) in "WF":
                    shown.append(self._word())
        return "".join(shown)

    def finish(self) -> str:
        """The rest: a word that nothing followed, and spaces after it."""
        rest = self._word() + self.gap
        self.gap = ""
        return rest

    def _word(self) -> str:
        word, gap, size = self.word, self.gap, width(self.word)
        if not word:
            return ""
        self.word = self.gap = ""
        if self.column and self.column + len(gap) + size > self.columns:
            self.column = size
            return f"\n{word}"
        self.column += len(gap) + size
        return gap + word


def width(text: str) -> int:
    """The columns that text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
