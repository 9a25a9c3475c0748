"""What a search has tried: plain data, from which it resumes and which can be replayed."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.fit.choices import Levels

DIGITS = string.digits + string.ascii_letters  # of a level, one per tensor
VERSION = 2


@dataclass
class Tried:
    """A candidate. levels: one digit of DIGITS per tensor. parent: the number of the incumbent then. origin: how it was
    proposed, in words. gain: what the surrogate expected it to be better by, in nats; None without one. chunks, scores:
    what the race measured. outcome: seed, accepted, not better, worse (so says the race), behind (others went on), or
    not confirmed (it won the race, and not on the chunks set apart). apart: the scores on those; empty if it did not
    get that far."""

    levels: str
    parent: int
    origin: str
    generation: int
    gain: float | None
    chunks: list[int]
    scores: list[float]
    outcome: str
    apart: list[float] = field(default_factory=list)


@dataclass
class History:
    """Every candidate of a search by number, in the order in which they were scored; a generation enters as a whole.

    task: what was searched, as JSON: a history resumes the same task only. best: the number of the incumbent.
    generation: how many are complete. evaluations: chunks scored, of all candidates. idle: generations in a row from
    which the surrogate expected nothing. pending: scores of the generation in progress, as [levels, chunk, score].
    """

    task: dict[str, Any]
    tried: list[Tried] = field(default_factory=list)
    best: int = 0
    generation: int = 0
    evaluations: int = 0
    idle: int = 0
    pending: list[tuple[str, int, float]] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], task: Mapping[str, Any]) -> History:
        """The history in JSON data. UsageError if it belongs to another task."""
        if data.get("version") != VERSION:
            raise UsageError(f"expected a search history of version {VERSION}, got {data.get('version')!r}")
        for key, value in task.items():
            if (got := data["task"].get(key)) != value:
                raise UsageError(f"the search cannot be resumed with another {key}: expected {got!r}, got {value!r}")
        tried = [Tried(**one) for one in data["tried"]]
        pending = [(str(levels), int(chunk), float(score)) for levels, chunk, score in data["pending"]]
        return cls(dict(task), tried, data["best"], data["generation"], data["evaluations"], data["idle"], pending)

    @property
    def incumbent(self) -> Levels:
        """The best candidate so far."""
        return decoded(self.tried[self.best].levels)

    def scores(self, number: int) -> NDArray[np.float64]:
        """The scores of a candidate that finished its race, by chunk."""
        one = self.tried[number]
        return np.array(one.scores)[np.argsort(one.chunks)]

    def apart(self, number: int) -> NDArray[np.float64]:
        """The scores of a candidate on the chunks set apart; none if it did not get that far."""
        return np.array(self.tried[number].apart)


def encoded(levels: Levels) -> str:
    """A candidate as text."""
    return "".join(DIGITS[level] for level in levels)


def decoded(text: str) -> Levels:
    """The candidate in `text`."""
    return tuple(DIGITS.index(digit) for digit in text)
