"""What a little more or less would buy: files around the one that was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bitwright.errors import BudgetError
from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Budget, file_bytes
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.settings import Point
from bitwright.formats import Format
from bitwright.hardware.speed import PredictedSpeed

ROOMS = (0.8, 0.9, 1.1, 1.25)  # of the bytes that the found one has for its tensors
Speed = Callable[[Mapping[str, Format]], PredictedSpeed | None]


def front(
    budget: Budget, choices: Choices, best: Levels, measured: float | None, speed: Speed, more: Mapping[str, Any]
) -> tuple[Point, ...]:
    """`best`, and the best candidates of the additive model in less and in more room, from the smallest to the largest.

    What the model predicts is scaled by what it predicts for `best`, which `measured` so many nats on the search text;
    without, it stays. speed: of formats, if there is a device. more: as in `budget.metadata`.
    """
    size, cost = choices.bytes_of(best), choices.cost_of(best)
    scale = measured / cost if measured is not None and cost > 0 else 1.0
    found = {best}
    for room in ROOMS:
        try:
            found.add(allocate(choices, int(room * size)))
        except BudgetError:  # nothing is so small
            continue
    points = []
    for levels in found:
        chosen = choices.chosen(levels)
        predicted = speed(chosen)
        rate = predicted.tokens_per_second if predicted else None
        points.append(Point(file_bytes(budget.outline, chosen, more), scale * choices.cost_of(levels), rate))
    return tuple(sorted(points, key=lambda p: (p.bytes, p.kl_divergence)))
