"""How much is read between two tokens of the texts that are being written."""

from __future__ import annotations

PAUSE = 0.2  # seconds that a text being written may wait for others being read
LEAST = 16  # tokens that are read in a step, however slow


class Pace:
    """The tokens that can be read in PAUSE, learned from how long reading took."""

    def __init__(self) -> None:
        self.rate = 1000.0  # tokens a second

    @property
    def tokens(self) -> int:
        """How many tokens may be read in a step."""
        return max(LEAST, int(self.rate * PAUSE))

    def note(self, tokens: int, seconds: float) -> None:
        """A run took some seconds. Runs over few tokens say nothing about reading."""
        if tokens > LEAST:
            self.rate += (tokens / seconds - self.rate) / 4
