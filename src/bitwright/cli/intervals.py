"""How a number and its interval are printed: two cells of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright.statistics.interval import Interval

Cells = tuple[str, str]


def spread(i: Interval, text: Callable[[float], str]) -> Cells:
    """The estimate and its interval; "too few documents" if the interval is unknown."""
    if math.isnan(i.estimate):
        return "?", ""
    return text(i.estimate), f"{text(i.ends[0])} to {text(i.ends[1])}" if i.ends else f"too few {i.of}"


def decimal(i: Interval, digits: int = 2, factor: float = 1) -> Cells:
    """A number times `factor`, with `digits` decimals."""
    from bitwright.views.numbers import fixed

    return spread(i, lambda x: fixed(factor * x, digits))


def divergence(i: Interval) -> Cells:
    """A divergence in nats."""
    from bitwright.views.numbers import nats

    return spread(i, nats)


def shares(i: Interval) -> Cells:
    """A share in percent."""
    return decimal(i, 1, 100)


def steps(i: Interval, horizon: int) -> Cells:
    """A number of steps, which may lie beyond the `horizon` that was measured."""
    return spread(i, lambda x: f">{horizon}" if math.isinf(x) else f"{x:.0f}")
