"""A network of 17 parameters, small enough to see: would you go outside, by the warmth and the damp of the day?

It was trained on points of the plane: yes inside a circle of radius 0.62 around (0.05, -0.05), no outside. Its weights
are as small as those of large models, which is what a format without a scale cannot hold.
"""

from __future__ import annotations

from typing import Any

from bitwright.views.plain import plain

HIDDEN = ((0.254, -0.301), (-0.4, 0.346), (0.249, 0.245), (-0.333, -0.333))
HIDDEN_BIAS = (-0.136, -0.104, -0.074, -0.157)
OUTPUT = (-0.4, -0.292, -0.385, -0.4)
OUTPUT_BIAS = 0.051


def network() -> dict[str, Any]:
    """hidden{weights[[]] (neurons, inputs), bias[]}, output{weights[], bias}: the answer is
    output.weights · max(0, hidden.weights · inputs + hidden.bias) + output.bias, yes where it is above 0."""
    hidden = {"weights": HIDDEN, "bias": HIDDEN_BIAS}
    return plain({"hidden": hidden, "output": {"weights": OUTPUT, "bias": OUTPUT_BIAS}})
