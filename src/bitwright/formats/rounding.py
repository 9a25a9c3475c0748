"""Float32 arithmetic that ggml's encoders share, with their exact rounding."""

from __future__ import annotations

import numpy as np

from bitwright.formats.format import Floats


def inverse(scale: Floats) -> Floats:
    """1 / scale, or 0 if that is not finite: every code of such a block is the code of zero."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        result = np.float32(1) / scale
    return np.where(np.isfinite(result), result, np.float32(0))


def half_away(x: Floats) -> Floats:
    """C's roundf: to the nearest integer, ties away from zero."""
    magnitude = np.abs(x)
    whole = np.floor(magnitude)
    rounded: Floats = np.copysign(whole + (magnitude - whole >= 0.5), x)
    return rounded


def extreme(x: Floats) -> Floats:
    """The value (blocks, 1) of largest magnitude of each block, with its sign; the first among equals."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=-1, keepdims=True), axis=-1)
