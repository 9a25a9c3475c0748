"""MXFP4 and NVFP4: 4-bit floats (E2M1) under a shared scale that is itself an 8-bit float.

https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf, as ggml stores and rounds them.
Codes stand for twice their E2M1 value, an integer; the scale is halved to compensate. Importance is not used: the
largest magnitude alone decides the scale, as in llama.cpp.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.field import Bytes, Field
from bitwright.formats.floats import float4_e2m1fn, float8_e4m3fn
from bitwright.formats.format import Codes, Floats, Format, Scales, register


class ScaledE2M1(Format):
    @cached_property
    def table(self) -> NDArray[np.int8]:
        return (2 * float4_e2m1fn.table).astype(np.int8)

    def round(self, values: Floats, scales: Scales) -> Codes:
        """The code of least float32 error, the first among equals."""
        x = values.reshape(len(values), self.groups, -1)
        scale = self.steps(scales)[0][..., None]
        codes, least = np.zeros(x.shape, np.uint8), np.full(x.shape, np.inf, np.float32)
        for code, number in enumerate(self.table.astype(np.float32)):
            error = np.abs(scale * number - x)
            better = error < least
            codes[better], least = code, np.where(better, error, least)
        return codes.reshape(values.shape)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        scale, q = self.split(data)
        return q, (scale,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes)


@register
class MXFP4(ScaledE2M1):
    name, ggml, block_size = "mxfp4", 39, 32
    fields = (Field("e", "u8", 1, "scale, E8M0: 2^(e - 127)"), Field("qs", "u8", 16, "E2M1 codes", bits=4, run=16))
    summary = "4-bit floats under one power of two for 32 weights (OCP MX)"
    formula = "w = 2^(e - 128) * table[q], table = 2 * E2M1"

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        largest = np.abs(values).max(axis=1, keepdims=True)
        exponent = np.floor(np.log2(largest)) - 2 + 127  # 2: the exponent of 4, E2M1's largest power of two
        return (np.where(largest > 0, exponent, 0).clip(0, 254).astype(np.uint8),)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        return np.ldexp(np.float32(1), scales[0].astype(np.int32) - 128), None


@register
class NVFP4(ScaledE2M1):
    name, ggml, block_size, groups = "nvfp4", 40, 64, 4
    fields = (
        Field("d", "u8", 4, "scale of each 16 weights, E4M3 without its sign bit; 127: 0"),
        Field("qs", "u8", 32, "E2M1 codes", bits=4, run=8),
    )
    summary = "4-bit floats under an 8-bit float for every 16 weights"
    formula = "w = (E4M3(d) / 2) * table[q], table = 2 * E2M1"

    @cached_property
    def scale_table(self) -> Floats:
        half = float8_e4m3fn.magnitudes.astype(np.float32) / 2
        return np.concatenate([half[:127], np.zeros(1, np.float32), half])

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        largest = np.abs(values.reshape(len(values), 4, 16)).max(-1)
        return (float8_e4m3fn.round(largest / np.float32(6), ()),)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        return self.scale_table[scales[0]], None

    def overflows(self, values: Floats, packed: Bytes) -> NDArray[np.bool_]:
        too_large: NDArray[np.bool_] = self.split(packed)[0] == 127
        return np.asarray(too_large.any(axis=1))
