"""How fast a model reads and is encoded here, as far as that is seen in a moment."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bitwright.engine import Engine
from bitwright.model.model import Model
from bitwright.quantizers import work
from bitwright.quantizers.feedback import ROUNDS

TIMED = 256  # tokens


def reading(engine: Engine, clock: Callable[[], float]) -> float:
    """Seconds for each of many tokens that are read at once."""
    count = min(TIMED, engine.context)
    session, ids = engine.session(), (np.arange(count) % engine.config.vocabulary).tolist()
    session.extend(ids[:1], [0])  # packs the weights
    session.reset()
    started = clock()
    session.extend(ids, [count - 1])
    return (clock() - started) / count


def encoding(model: Model, effort: int) -> float:
    """About how many seconds of one core it takes to encode a model, before that was seen."""
    seconds, hessians = 0.0, set[tuple[int, int]]()
    for op in model.step.ops:
        for name in op.weights[:1]:
            shape = model.tensors[name].shape
            if len(shape) > 1:
                seconds += work.seconds(math.prod(shape), shape[-1], None, ROUNDS[effort])
                hessians.add((op.inputs[0].id if op.inputs else -1, shape[-1]))
    return seconds + sum(work.FACTOR * columns**3 for _, columns in hessians)


def spoken(seconds: float) -> str:
    """30 -> "30 seconds", 90 -> "1.5 minutes", 5000 -> "83 minutes", 20000 -> "5.6 hours"."""
    unit, size = ("second", 1) if seconds < 60 else ("minute", 60) if seconds < 3 * 3600 else ("hour", 3600)
    count = round(seconds / size, 1 if seconds < 10 * size else None)
    return f"{count:g} {unit}{'s' * (count != 1)}"
