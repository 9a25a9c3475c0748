"""A text to gather statistics on, and a comparison of what was gathered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bitwright.calibration import ActivationStatistics

TEXTS = [("calibration.txt", (Path(__file__).parent.parent / "golden/calibration.txt").read_text())]
CONTEXT, CHUNKS = 64, 3


def same(a: ActivationStatistics, b: ActivationStatistics) -> bool:
    """Whether `a` and `b` are equal to the last bit."""
    assert a.squares.keys() == b.squares.keys() and [m.weights for m in a.moments] == [m.weights for m in b.moments]
    return (
        all(np.array_equal(a.squares[name].sums, b.squares[name].sums) for name in a.squares)
        and all(np.array_equal(x.packed(), y.packed()) for x, y in zip(a.moments, b.moments, strict=True))
        and all(np.array_equal(a.sensitivities[name], b.sensitivities[name]) for name in a.sensitivities)
    )
