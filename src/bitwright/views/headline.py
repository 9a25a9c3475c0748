"""The one plain sentence on top of every report, from the intervals of what was measured.

Three things are kept apart: a loss that the intervals show, a loss that they exclude or cannot find, and too little
text for intervals, which says nothing about the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitwright.statistics.interval import FEWEST

if TYPE_CHECKING:
    from bitwright.measure.suite import Evaluation

TOO_LITTLE, SAME = "too little text", "not distinguishable"
LEVELS = ("hardly", "slightly", "clearly", "heavily")
CHANGED = (0.02, 0.08, 0.2)  # shares of tokens that are another, from which the next level holds
NATS = (0.01, 0.1, 0.5)  # the same for the divergence, for models whose probabilities change more than their choices
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MANY = ((2, 3), (3, 4), (9, 10))  # shares above a half, as (of, tokens)


def standing(e: Evaluation) -> str:
    """TOO_LITTLE, SAME, or how damaged: "clearly damaged", or between which levels the intervals leave it."""
    d, changed = e.divergence, e.flips.changed
    if d.ends is None or changed.ends is None:
        return TOO_LITTLE
    if not (e.floor.distinguishable(d) if e.floor else d.above(0)):
        return SAME
    low, high = (LEVELS[max(_level(share, CHANGED), _level(nats, NATS))]
                 for share, nats in zip(changed.ends, d.ends, strict=True))  # fmt: skip
    return f"{low} damaged" if low == high else f"{low} to {high} damaged"


def headline(e: Evaluation) -> str:
    """What a model lost, in one sentence without a full stop."""
    found, share = standing(e), e.flips.changed.estimate
    if found == TOO_LITTLE:
        return f"too little text to say how much was lost: {needed(e)}; on these, {tokens_changed(share)}"
    if found == SAME:
        return "not distinguishable from the original on this text"
    d = e.divergence.estimate
    if _level(d, NATS) > _level(share, CHANGED):
        return f"{found}: its probabilities are {d:.2f} nats per token off, though {tokens_changed(share)}"
    return f"{found}: {tokens_changed(share)}"


def needed(e: Evaluation) -> str:
    """How much was scored and how much an interval needs: "4 chunks of 512 tokens, and an interval needs 10 (about
    24 kB of text)"."""
    windows = e.scores.windows
    size = max(1, round(windows.text_bytes(FEWEST) / 1000))
    scored = f"{len(windows)} {'chunk' if len(windows) == 1 else 'chunks'} of {windows.context} tokens"
    return f"{scored}, and an interval needs {FEWEST} (about {size} kB of text)"


def tokens_changed(share: float) -> str:
    """A share of tokens in words: "one token in four is another"."""
    if share == 0:
        return "no token is another"
    if share > 0.95:
        return "nearly every token is another"
    part, whole = min(((1, 2), *MANY), key=lambda p: abs(p[0] / p[1] - share)) if share > 0.4 else (1, round(1 / share))
    tokens = "token" if part == 1 else "tokens"
    return f"{_count(part)} {tokens} in {_count(whole)} {'is another' if part == 1 else 'are others'}"


def _count(number: int) -> str:
    return COUNTS[number] if number < len(COUNTS) else f"{number:,}"


def _level(value: float, steps: tuple[float, ...]) -> int:
    return sum(value >= step for step in steps)
