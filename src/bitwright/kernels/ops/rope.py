"""Rotary positions (Su et al., RoFormer, https://arxiv.org/abs/2104.09864)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Op, Shape
from bitwright.kernels.ops.native import Entry, Lowering, Value

ANGLES = Entry("angles", {"index": "index"}, writes="other")  # the cosines and sines of the call's positions
ROTATE = Entry("rope", {"index": "index", "heads": "heads", "head_dim": "head_dim"}, in_place="required")


@dataclass(eq=False)
class Rope(Op):
    """Rotates pairs of each head by position * inverse_frequencies, and multiplies them by `magnitude`.

    `inverse_frequencies` is (rotary_dim / 2,); the first rotary_dim values of a head are rotated, the rest stay.
    Pair i is (2i, 2i + 1) when `interleaved`, else (i, i + rotary_dim / 2). The call gives the positions.
    """

    x: Buffer
    heads: Count
    head_dim: Count
    inverse_frequencies: NDArray[Any]
    interleaved: bool
    magnitude: float = 1.0

    kind = "rope"
    entries = (ANGLES, ROTATE)
    by_row = True
    all_tokens = True

    def __post_init__(self) -> None:
        super().__post_init__()
        frequencies = np.ascontiguousarray(self.inverse_frequencies, dtype=np.float32)
        if frequencies.ndim != 1 or not 0 < 2 * frequencies.size <= self.head_dim:
            raise UsageError(
                f"rope: inverse_frequencies must be 1 to {self.head_dim // 2} values, got {frequencies.shape}"
            )
        self.inverse_frequencies = frequencies

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the width", self.heads * self.head_dim, inputs[0]

    def meaning(self, call: Call, x: Array) -> Array:
        h = x.reshape(len(x), self.heads, self.head_dim).copy()
        half = len(self.inverse_frequencies)
        angles = call.positions[:, None, None] * self.inverse_frequencies.astype(np.float64)
        turn = (np.exp(1j * angles) * self.magnitude).astype(np.result_type(call.dtype, np.complex64))
        first = slice(0, 2 * half, 2) if self.interleaved else slice(0, half)
        second = slice(1, 2 * half, 2) if self.interleaved else slice(half, 2 * half)
        turned = (h[..., first] + 1j * h[..., second]) * turn
        h[..., first], h[..., second] = turned.real, turned.imag
        return h.reshape(x.shape)

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        return (replace(self, inverse_frequencies=-self.inverse_frequencies).meaning(call, y),)  # rotated back

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        table, index = to.angle_table(self.inverse_frequencies, self.magnitude, self.interleaved)
        return to.emit(ROTATE, [*reads, table], width, index=index, heads=self.heads, head_dim=self.head_dim)
