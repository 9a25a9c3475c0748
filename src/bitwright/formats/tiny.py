"""Q1_0 and Q2_0: one scale for 128 signs, or for 64 codes of two bits; for models trained that way.

Layouts and arithmetic: quantize_row_q1_0_ref and quantize_row_q2_0_ref of ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.rounding import half_away, inverse
from bitwright.formats.ternary import Ternary

SCALE = Field("d", "f16", 1, "scale")


@register
class Q1_0(Format):
    """The scale is the mean magnitude, which minimizes the error of signs."""

    name, ggml, block_size = "q1_0", 41, 128
    fields = (SCALE, Field("qs", "u8", 16, "signs: 1 for plus", bits=1))
    summary = "signs, one scale for 128 weights"
    formula = "w = d * (2 q - 1)"

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        weights = np.ones_like(values) if importance is None else importance
        return ((weights * np.abs(values)).sum(1, keepdims=True) * inverse(weights.sum(1, keepdims=True)),)

    def round(self, values: Floats, scales: Scales) -> Codes:
        return np.where(values >= 0, 1, -1).astype(np.int8)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q = self.split(data)
        return (q * 2).view(np.int8) - np.int8(1), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, (codes > 0).astype(np.uint8))


@register
class Q2_0(Ternary):
    """As in ggml, the code for twice the scale is not used."""

    name, ggml, block_size = "q2_0", 42, 64
    fields = (SCALE, Field("qs", "u8", 16, "codes", bits=2))
    summary = "codes from -1 to 2, one scale for 64 weights"
    formula = "w = d * (q - 1)"

    def round(self, values: Floats, scales: Scales) -> Codes:
        return half_away(values * inverse(scales[0])).clip(-1, 2).astype(np.int8)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q = self.split(data)
        return q.view(np.int8) - np.int8(1), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, (codes + np.int8(1)).astype(np.uint8))
