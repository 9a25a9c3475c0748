"""Normalization."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Op, Shape, Weight
from bitwright.kernels.ops.native import Entry


@dataclass(eq=False)
class RmsNorm(Op):
    """x / sqrt(mean(x²) + eps) * weight, over each of `heads` slices of a row; `weight` is (width / heads,), or (heads,
    width / heads) where slices have their own; without one 1."""

    x: Buffer
    weight: Weight | None
    eps: float
    heads: Count = 1

    kind = "rms_norm"
    entries = (Entry("rms_norm", {"eps": "value", "heads": "heads"}, in_place="allowed", weight="ones"),)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        if self.weight is not None:
            each = (inputs[0] // self.heads,)
            yield f"the shape of {self.weight}", each if len(shapes[0]) == 1 else (self.heads, *each), shapes[0]
        yield "the remainder", 0, inputs[0] % self.heads

    def meaning(self, call: Call, x: Array, weight: Array | float = 1.0) -> Array:
        h = x.reshape(len(x), self.heads, -1)
        y: Array = h / np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + self.eps) * weight
        return y.reshape(x.shape)

    def gradient(self, call: Call, y: Array, x: Array, weight: Array | float = 1.0) -> tuple[Array]:
        h, y = (v.reshape(len(x), self.heads, -1) for v in (x, y))
        r = 1 / np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + self.eps)
        y = y * weight
        return ((r * (y - h * (r * r * np.mean(h * y, axis=-1, keepdims=True)))).reshape(x.shape),)
