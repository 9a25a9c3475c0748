"""ggml's blocks of 32: one scale, with or without a min, and codes of 4, 5 or 8 bits.

Layouts: ggml-common.h; arithmetic: quantize_row_*_ref and dequantize_row_* of ggml-quants.c, matched byte for byte.
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c
"""

from __future__ import annotations

import numpy as np

from bitwright.formats import scale_fit
from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.rounding import extreme, half_away, inverse

SCALE = Field("d", "f16", 1, "scale")
MIN = Field("m", "f16", 1, "min")
CODES = Field("qs", "u8", 16, "codes", bits=4, run=16)
LOW_BITS = Field("qs", "u8", 16, "the low 4 bits of the codes", bits=4, run=16)
HIGH_BITS = Field("qh", "u8", 4, "the fifth bit of the codes", bits=1)


class Symmetric(Format):
    """Codes -zero .. zero - 1, stored with `zero` added. The value of largest magnitude gets code -zero, whatever its
    sign, so the scale is negative when that value is positive. With importance, several scales near it are tried."""

    block_size = 32
    zero: int

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        largest = extreme(values)
        if importance is None:
            return (largest / np.float32(-self.zero),)
        trials = (np.float32(-(self.zero + 0.1 * step)) * inverse(largest)[:, 0] for step in range(-9, 10))
        weights = scale_fit.importance_weights(values, importance)
        grid = lambda x: np.rint(x).clip(-self.zero, self.zero - 1)  # noqa: E731
        return (scale_fit.symmetric(values, weights, grid, trials)[:, None],)

    def round(self, values: Floats, scales: Scales) -> Codes:
        codes: Codes = np.trunc(values * inverse(scales[0]) + np.float32(self.zero + 0.5))
        return (codes.clip(0, 2 * self.zero - 1) - self.zero).astype(np.int8)


class Asymmetric(Format):
    """Codes 0 .. top from the block's smallest value to its largest, or, with importance, on the best grid found."""

    block_size = 32
    top: int

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        if importance is not None:
            weights = scale_fit.importance_weights(values, importance)
            scale, minimum = scale_fit.asymmetric(values, weights, self.top, scale_fit.WIDE, ceiling=np.inf)
            return scale[:, None], minimum[:, None]
        low = values.min(axis=1, keepdims=True)
        return (values.max(axis=1, keepdims=True) - low) / np.float32(self.top), low

    def round(self, values: Floats, scales: Scales) -> Codes:
        scale, low = scales
        codes: Codes = np.trunc((values - low) * inverse(scale) + np.float32(0.5))
        return codes.clip(0, self.top).astype(np.uint8)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        scale, low = scales
        return scale.astype(np.float32), low.astype(np.float32)


@register
class Q4_0(Symmetric):
    name, ggml, zero = "q4_0", 2, 8
    fields = (SCALE, CODES)
    summary = "4-bit codes around zero, one scale for 32 weights"
    formula = "w = d * (q - 8)"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q = self.split(data)
        return q.view(np.int8) - np.int8(8), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes + np.int8(8))


@register
class Q4_1(Asymmetric):
    name, ggml, top = "q4_1", 3, 15
    fields = (SCALE, MIN, CODES)
    summary = "4-bit codes from min to max, scale and min for 32 weights"
    formula = "w = d * q + m"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, m, q = self.split(data)
        return q, (d, m)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes)


@register
class Q5_0(Symmetric):
    name, ggml, zero = "q5_0", 6, 16
    fields = (SCALE, HIGH_BITS, LOW_BITS)
    summary = "5-bit codes around zero, one scale for 32 weights"
    formula = "w = d * (q - 16), q = qs + 16 qh"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, high, low = self.split(data)
        return (low | high << 4).view(np.int8) - np.int8(16), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        q = (codes + np.int8(16)).view(np.uint8)
        return self.join(*scales, q >> 4, q & 15)


@register
class Q5_1(Asymmetric):
    name, ggml, top = "q5_1", 7, 31
    fields = (SCALE, MIN, HIGH_BITS, LOW_BITS)
    summary = "5-bit codes from min to max, scale and min for 32 weights"
    formula = "w = d * q + m, q = qs + 16 qh"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, m, high, low = self.split(data)
        return low | high << 4, (d, m)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes >> 4, codes & 15)


@register
class Q8_0(Symmetric):
    name, ggml, zero = "q8_0", 8, 128
    fields = (SCALE, Field("qs", "i8", 32, "codes"))
    summary = "8-bit codes around zero, one scale for 32 weights; next to lossless"
    formula = "w = d * q"

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        """From the largest magnitude; importance gains almost nothing at 8 bits and is not used."""
        return (np.abs(values).max(axis=1, keepdims=True) / np.float32(127),)

    def round(self, values: Floats, scales: Scales) -> Codes:
        return half_away(values * inverse(scales[0])).astype(np.int8)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q = self.split(data)
        return q, (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes)
