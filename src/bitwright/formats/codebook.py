"""IQ4_NL and IQ4_XS: 4-bit codes that index 16 unevenly spaced values, dense near zero where weights are.

Layouts and values: ggml-common.h. The encoders choose scales by `scale_fit.symmetric`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import scale_fit
from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.rounding import extreme, inverse

# kvalues_iq4nl of https://github.com/ggml-org/llama.cpp/blob/0c1e57098/ggml/src/ggml-common.h
VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


class NonLinear4(Format):
    """Codes are indices into `table`."""

    @cached_property
    def table(self) -> NDArray[np.int8]:
        return np.array(VALUES, np.int8)

    @cached_property
    def midpoints(self) -> Floats:
        table = self.table.astype(np.float32)
        return (table[1:] + table[:-1]) * np.float32(0.5)

    def nearest(self, x: Floats) -> Codes:
        return np.searchsorted(self.midpoints, x).astype(np.uint8)

    def sub_scales(self, values: Floats, importance: Floats | None) -> Floats:
        """The best scale (blocks, groups) of each 32 values. The trials put the extreme near the outermost code; one of
        them puts it at the other end."""
        x = values.reshape(len(values), self.groups, 32)
        weights = x * x if importance is None else scale_fit.importance_weights(values, importance).reshape(x.shape)
        table = self.table.astype(np.float32)
        stretch = inverse(extreme(x)[..., 0])
        trials = (place * stretch for place in (-table[0], *(table[0] + step for step in range(-7, 8))))
        return scale_fit.symmetric(x, weights, lambda y: table[self.nearest(y)], trials)

    def round(self, values: Floats, scales: Scales) -> Codes:
        x = values.reshape(len(values), self.groups, 32) * inverse(self.steps(scales)[0])[..., None]
        return self.nearest(x).reshape(values.shape)


@register
class IQ4_NL(NonLinear4):
    name, ggml, block_size = "iq4_nl", 20, 32
    fields = (Field("d", "f16", 1, "scale"), Field("qs", "u8", 16, "codes", bits=4, run=16))
    summary = "4-bit codes of 16 uneven values, one scale for 32 weights"
    formula = "w = d * table[q]"

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        return (self.sub_scales(values, importance),)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q = self.split(data)
        return q, (d,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes)


@register
class IQ4_XS(NonLinear4):
    name, ggml, block_size, groups = "iq4_xs", 23, 256, 8
    fields = (
        Field("d", "f16", 1, "scale of the scales"),
        Field("scales_h", "u8", 2, "the high 2 bits of the scales of each 32 weights", bits=2),
        Field("scales_l", "u8", 4, "their low 4 bits", bits=4),
        Field("qs", "u8", 128, "codes", bits=4, run=16),
    )
    summary = "4-bit codes of 16 uneven values, 6-bit scales for every 32 weights"
    formula = "w = (d * (s - 32)) * table[q], s = scales_l + 16 scales_h"

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        scale = self.sub_scales(values, importance)
        d = extreme(scale) / np.float32(-32)
        return d.astype(np.float16), np.rint(scale * inverse(d)).clip(-32, 31).astype(np.int8)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, s = scales
        return d.astype(np.float32) * s, None

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, high, low, q = self.split(data)
        return q, (d, (low | high << 4).view(np.int8) - np.int8(32))

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        s = (scales[1] + np.int8(32)).view(np.uint8)
        return self.join(scales[0], s >> 4, s & 15, codes)
