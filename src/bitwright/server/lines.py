"""Answers that end where a line ends, for editors that wait for them while someone types."""

from __future__ import annotations

import re


class Lines:
    """Lets text through up to a line that begins with fewer than `indent` blanks (the first may), or up to the token
    that ends a line after `seconds`. Then the answer has `ended`. They are llama.cpp's `n_indent` and
    `t_max_predict_ms` (tools/server/README.md)."""

    def __init__(self, indent: int = 0, seconds: float = float("inf")) -> None:
        self.ended, self._seconds, self._held = False, seconds, ""
        short = rf"\n[ \t]{{0,{indent - 1}}}"
        self._dedented = re.compile(rf"{short}(?![ \t])(?!\Z)" if indent else "(?!)")
        self._open = re.compile(rf"{short}\Z" if indent else "(?!)")

    def feed(self, text: str, elapsed: float) -> str:
        """What may be shown now that `text` has come, `elapsed` seconds after the first token; blanks that may become
        an indentation are held back."""
        self._held += text
        self.ended = elapsed > self._seconds and "\n" in text
        if dedented := self._dedented.search(self._held):
            self.ended, self._held = True, self._held[: dedented.start()]
        elif open := self._open.search(self._held):
            shown, self._held = self._held[: open.start()], self._held[open.start() :]
            return shown
        return self.finish()

    def finish(self) -> str:
        """The rest, when no more text comes."""
        shown, self._held = self._held, ""
        return shown
