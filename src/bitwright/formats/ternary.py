"""TQ1_0 and TQ2_0: weights that are -1, 0 or 1 times a scale, for models trained that way (BitNet, TriLM).

Layouts: ggml-common.h and quantize_row_tq*_0_ref of ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.rounding import half_away, inverse

SCALE = Field("d", "f16", 1, "scale")


class Ternary(Format):
    """The scale is the largest magnitude. Importance is not used: only one scale is tried."""

    block_size = 256

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        return (np.abs(values).max(axis=1, keepdims=True),)

    def round(self, values: Floats, scales: Scales) -> Codes:
        return half_away(values * inverse(scales[0])).astype(np.int8)


@register
class TQ1_0(Ternary):
    name, ggml = "tq1_0", 34
    fields = (
        Field(
            "qs",
            "u8",
            48,
            "5 codes to a byte, the base-3 digits of a fraction: b = ceil(256 * 0.q0q1q2q3q4); "
            "byte j < 32 holds codes j + 32 k, byte 32 + j codes 160 + j + 16 k",
        ),
        Field("qh", "u8", 4, "4 codes to a byte: byte j holds codes 240 + j + 4 k"),
        SCALE,
    )
    summary = "base-3 digits, five to a byte"
    formula = "w = d * (q - 1), q_k = ((b * 3^k mod 256) * 3) >> 8"
    runs = ((0, 32, 5), (32, 48, 5), (48, 52, 4))  # first byte, end, digits of each byte

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        qs, qh, d = self.split(data)
        digits = np.concatenate([qs, qh], axis=1)
        powers = np.array([1, 3, 9, 27, 81], np.uint8)[:, None]
        shifted = [(digits[:, None, a:b] * powers[:n]).reshape(len(data), -1) for a, b, n in self.runs]
        q = (np.concatenate(shifted, axis=1).astype(np.uint16) * 3) >> 8
        return q.astype(np.int8) - np.int8(1), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        q, packed, start = (codes + np.int8(1)).astype(np.uint16), [], 0
        powers = np.array([81, 27, 9, 3, 1], np.uint16)[:, None]
        for first, end, digits in self.runs:
            stop = start + (end - first) * digits
            packed.append((q[:, start:stop].reshape(len(q), digits, end - first) * powers[:digits]).sum(1))
            start = stop
        numbers = (np.concatenate(packed, axis=1) * 256 + 242) // 243
        return self.join(numbers[:, :48], numbers[:, 48:], *scales)


@register
class TQ2_0(Ternary):
    name, ggml = "tq2_0", 35
    fields = (Field("qs", "u8", 64, "codes", bits=2, run=32), SCALE)
    summary = "ternary codes in two bits each, faster to unpack"
    formula = "w = d * (q - 1)"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        q, d = self.split(data)
        return q.view(np.int8) - np.int8(1), (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(codes + np.int8(1), *scales)
