"""What a little more or less would buy: files around the one that was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Budget, file_bytes
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.settings import Point
from bitwright.formats import Format
from bitwright.hardware.speed import PredictedSpeed

SPAN = 0.2  # of the bytes that the tensors of the file take: how much smaller or larger others are, at most
Speed = Callable[[Mapping[str, Format]], PredictedSpeed | None]


def front(
    budget: Budget, choices: Choices, best: Levels, made: Point, speed: Speed, more: Mapping[str, Any]
) -> tuple[Point, ...]:
    """The file that was `made` of `best`, among two smaller and two larger ones if the choices have them, by bytes.

    Those are optimal for the additive model. Their divergence is what it predicts, times what was measured over what it
    predicts for the optimum of the size of `best`: a gain by searching is expected of them too, and none of them is
    both smaller and better than the file. Only `made` if no loss is predicted for it. speed: of formats, if there is a
    device. more: as in `budget.metadata`.
    """
    size = choices.bytes_of(best)
    predicted = choices.cost_of(allocate(choices, size))
    found = {made.bytes: made}
    for room in others(choices, size) if predicted > 0 else ():
        levels = allocate(choices, room)
        chosen = choices.chosen(levels)
        loss, rate = made.kl_divergence * choices.cost_of(levels) / predicted, speed(chosen)
        point = Point(file_bytes(budget.outline, chosen, more), loss, rate.tokens_per_second if rate else None)
        found.setdefault(point.bytes, point)
    return tuple(found[key] for key in sorted(found))


def others(choices: Choices, size: int) -> list[int]:
    """Budgets below and above `size` that the choices can use: half the way to the last that is within SPAN, and it."""
    least = int(np.where(choices.allowed, choices.bytes, np.iinfo(np.int64).max).min(axis=1).sum())
    most = choices.bytes_of(tuple(np.where(choices.allowed, choices.cost, np.inf).argmin(axis=1).tolist()))
    ends = max(least, round((1 - SPAN) * size)), min(most, round((1 + SPAN) * size))
    return [room for end in ends for room in ((size + end) // 2, end) if room != size]
