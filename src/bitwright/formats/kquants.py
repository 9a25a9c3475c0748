"""ggml's K-quants: superblocks of 256 weights whose sub-blocks' scales (and mins) are themselves small integers.

Layouts: ggml-common.h; decoding order: dequantize_row_*_K of ggml-quants.c, matched bit for bit. The encoders follow
`scale_fit.py`; the compiled quantizer does the same faster.
"""

from __future__ import annotations

import numpy as np

from bitwright.formats import scale_fit
from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.rounding import extreme, inverse

SCALE = Field("d", "f16", 1, "scale of the scales")
MIN = Field("dmin", "f16", 1, "scale of the mins")
PACKED_SCALES = Field(
    "scales",
    "u8",
    12,
    "6-bit scales s and mins m of 8 sub-blocks: byte j < 4: s[j] and above it "
    "the top 2 bits of s[j+4]; byte j+4 the same of m; byte j+8 the low 4 bits of both",
)


class KQuant(Format):
    block_size = 256

    def sub_blocks(self, values: Floats) -> Floats:
        return values.reshape(len(values), self.groups, self.block_size // self.groups)


class AsymmetricK(KQuant):
    """w = (d * s) * q - (dmin * m). `scales` is (d, dmin, s, m)."""

    top: int  # largest code
    levels: int  # largest sub-block scale and min
    shifts: Floats  # how many codes each trial stretches the grid by
    absolute = False  # minimize |error| rather than its square

    def weights(self, x: Floats) -> Floats:
        """The weight of each value's error without importance data."""
        spread: Floats = np.sqrt((x * x).mean(-1, keepdims=True))
        return spread + np.abs(x)

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        x = self.sub_blocks(values)
        weights, shifts, absolute = self.weights(x), self.shifts, self.absolute
        if importance is not None:
            weights = self.sub_blocks(scale_fit.importance_weights(values, importance))
            shifts, absolute = scale_fit.WIDE, False
        scale, minimum = scale_fit.asymmetric(x, weights, self.top, shifts, absolute)
        d, s = self._nested(scale)
        dmin, m = self._nested(-minimum)
        return d, dmin, s, m

    def _nested(self, parts: Floats) -> tuple[Floats, Codes]:
        """Non-negative floats (blocks, groups) as one float16 times small integers."""
        largest = parts.max(1, keepdims=True)
        integers = np.rint(parts * (np.float32(self.levels) * inverse(largest))).clip(0, self.levels)
        return (largest / np.float32(self.levels)).astype(np.float16), integers.astype(np.uint8)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, dmin, s, m = scales
        return d.astype(np.float32) * s, -(dmin.astype(np.float32) * m)

    def round(self, values: Floats, scales: Scales) -> Codes:
        scale, minimum = self.steps(scales)
        assert minimum is not None
        x = self.sub_blocks(values) - minimum[..., None]
        q = np.where(scale[..., None] > 0, np.rint(x / scale[..., None]), 0)
        return q.clip(0, self.top).astype(np.uint8).reshape(values.shape)


class SymmetricK(KQuant):
    """w = (d * s) * q with 16 sub-blocks. `scales` is (d, s); q is -half .. half - 1, s is -lowest .. lowest - 1."""

    groups = 16
    half: int
    lowest: int

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        x = self.sub_blocks(values)
        weights = x * x if importance is None else self.sub_blocks(scale_fit.importance_weights(values, importance))
        stretch = inverse(extreme(x)[..., 0])
        trials = (np.float32(-(self.half + 0.1 * step)) * stretch for step in range(-9, 10))
        scale = scale_fit.symmetric(x, weights, lambda y: np.rint(y).clip(-self.half, self.half - 1), trials)
        d = extreme(scale) / np.float32(-self.lowest)
        s = np.rint(scale * inverse(d)).clip(-self.lowest, self.lowest - 1)
        return d.astype(np.float16), s.astype(np.int8)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, s = scales
        return d.astype(np.float32) * s, None

    def round(self, values: Floats, scales: Scales) -> Codes:
        scale = self.steps(scales)[0][..., None]
        q = np.where(scale != 0, np.rint(self.sub_blocks(values) / scale), 0)
        return q.clip(-self.half, self.half - 1).astype(np.int8).reshape(values.shape)


@register
class Q2_K(AsymmetricK):
    name, ggml, groups, top, levels, absolute = "q2_k", 10, 16, 3, 15, True
    shifts = np.arange(-5, 11).astype(np.float32) / np.float32(10)
    fields = (
        Field("scales", "u8", 16, "scale (low 4 bits) and min (high 4 bits) of each 16 weights"),
        Field("qs", "u8", 64, "codes", bits=2, run=32),
        SCALE,
        MIN,
    )
    summary = "2-bit codes, 4-bit scales and mins for every 16 weights"
    formula = "w = (d * s) * q - (dmin * m)"

    def weights(self, x: Floats) -> Floats:
        return np.abs(x)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        sm, q, d, dmin = self.split(data)
        return q, (d, dmin, sm & 15, sm >> 4)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        d, dmin, s, m = scales
        return self.join(s | m << 4, codes, d, dmin)


@register
class Q3_K(SymmetricK):
    name, ggml, half, lowest = "q3_k", 11, 4, 32
    fields = (
        Field("hmask", "u8", 32, "the third bit of the codes", bits=1, run=32),
        Field("qs", "u8", 64, "the low 2 bits of the codes", bits=2, run=32),
        Field("scales", "u8", 8, "the low 4 bits of the scales of each 16 weights", bits=4, run=8),
        Field("scales_high", "u8", 4, "their high 2 bits (in ggml the end of scales)", bits=2, run=4),
        SCALE,
    )
    summary = "3-bit codes, 6-bit scales for every 16 weights"
    formula = "w = (d * (s - 32)) * (q - 4), q = qs + 4 hmask"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        high, low, s, s_high, d = self.split(data)
        return (low | high << 2).view(np.int8) - np.int8(4), (d, (s | s_high << 4).view(np.int8) - np.int8(32))

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        q, s = (codes + np.int8(4)).view(np.uint8), (scales[1] + np.int8(32)).view(np.uint8)
        return self.join(q >> 2, q & 3, s & 15, s >> 4, scales[0])


@register
class Q4_K(AsymmetricK):
    name, ggml, groups, top, levels = "q4_k", 12, 8, 15, 63
    shifts = np.arange(-10, 11).astype(np.float32) / np.float32(10)
    fields = (SCALE, MIN, PACKED_SCALES, Field("qs", "u8", 128, "codes", bits=4, run=32))
    summary = "4-bit codes, 6-bit scales and mins for every 32 weights; the usual choice"
    formula = "w = (d * s) * q - (dmin * m)"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, dmin, packed, q = self.split(data)
        return q, (d, dmin, *unpack_scales(packed))

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        d, dmin, s, m = scales
        return self.join(d, dmin, pack_scales(s, m), codes)


@register
class Q5_K(AsymmetricK):
    name, ggml, groups, top, levels = "q5_k", 13, 8, 31, 63
    shifts = np.arange(-10, 11).astype(np.float32) / np.float32(10)
    fields = (
        SCALE,
        MIN,
        PACKED_SCALES,
        Field("qh", "u8", 32, "the fifth bit of the codes", bits=1, run=32),
        Field("qs", "u8", 128, "the low 4 bits of the codes", bits=4, run=32),
    )
    summary = "5-bit codes, 6-bit scales and mins for every 32 weights"
    formula = "w = (d * s) * q - (dmin * m), q = qs + 16 qh"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, dmin, packed, high, low = self.split(data)
        return low | high << 4, (d, dmin, *unpack_scales(packed))

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        d, dmin, s, m = scales
        return self.join(d, dmin, pack_scales(s, m), codes >> 4, codes & 15)


@register
class Q6_K(SymmetricK):
    name, ggml, half, lowest = "q6_k", 14, 32, 128
    fields = (
        Field("ql", "u8", 128, "the low 4 bits of the codes", bits=4, run=64),
        Field("qh", "u8", 64, "the high 2 bits of the codes", bits=2, run=32),
        Field("scales", "i8", 16, "scale of each 16 weights"),
        SCALE,
    )
    summary = "6-bit codes, 8-bit scales for every 16 weights; hard to tell from the original"
    formula = "w = (d * s) * (q - 32), q = ql + 16 qh"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        low, high, s, d = self.split(data)
        return (low | high << 4).view(np.int8) - np.int8(32), (d, s)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        q = (codes + np.int8(32)).view(np.uint8)
        return self.join(q & 15, q >> 4, scales[1], scales[0])


@register
class Q8_K(KQuant):
    name, ggml = "q8_k", 15
    fields = (
        Field("d", "f32", 1, "scale"),
        Field("qs", "i8", 256, "codes"),
        Field("bsums", "i16", 16, "sum of the codes of each 16 weights; follows from qs, unused in decoding"),
    )
    summary = "8-bit codes with ready sums: llama.cpp's activations, not a format for files"
    formula = "w = d * q"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q, _ = self.split(data)
        return q, (d,)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        return scales[0], None


def unpack_scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Scales and mins, (blocks, 8) each, of Q4_K's and Q5_K's 12 bytes."""
    first, second, low = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, low & 15 | first >> 6 << 4], axis=1)
    mins = np.concatenate([second & 63, low >> 4 | second >> 6 << 4], axis=1)
    return scales, mins


def pack_scales(scales: Bytes, mins: Bytes) -> Bytes:
    """The inverse of `unpack_scales`."""
    low = scales[:, 4:] & 15 | mins[:, 4:] << 4
    return np.concatenate([scales[:, :4] | scales[:, 4:] >> 4 << 6, mins[:, :4] | mins[:, 4:] >> 4 << 6, low], axis=1)
