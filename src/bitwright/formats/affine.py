"""Textbook integer quantization: w = scale * (code - zero), with 2 to 8 bits for a code.

`int4_sym_g32`: symmetric (the zero-point is the middle code), a scale for each group of 32 columns.
`int8_asym_row`: asymmetric (scale and integer zero-point), one for each row.
`int3_sym_tensor`: one scale for the tensor.

Groups store their scale as float16, rows and tensors as float32. Codes are packed densely (`bits.py`), so groups and
rows are multiples of 8 columns.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Scales
from bitwright.formats.rounding import inverse
from bitwright.formats.shared import SHARE, SHARES, Shared

PATTERN = re.compile(rf"int([2-8])_(sym|asym)_{SHARE}")
NAMES = f"int<2-8>_<sym|asym>_{SHARES}"


class Affine(Shared):
    """Unpacked codes are relative to the zero-point; `scales` is (scale, zero)."""

    def __init__(self, bits: int, symmetric: bool, group: int, whole: bool) -> None:
        super().__init__(bits, group, whole)
        self.symmetric = symmetric
        self.name = f"int{bits}_{'sym' if symmetric else 'asym'}_{self.share}"
        middle = 1 << (bits - 1)
        zero = () if symmetric else (Field("zero", "u8", 1, "zero-point: the code that decodes to 0"),)
        self.fields = (
            Field("scale", "f16" if group else "f32", 1, "scale"),
            *zero,
            Field("codes", "u8", group * bits // 8, "codes, packed densely", bits),
        )
        self.formula = f"w = scale * (code - {middle if symmetric else 'zero'})"
        self.summary = f"{bits}-bit integers, {'scale' if symmetric else 'scale and zero-point'} for {self.shared}"

    def span(self, low: Floats, high: Floats) -> Scales:
        """Scale and zero-point."""
        if self.symmetric:
            middle = 1 << (self.bits - 1)
            scale = self._stored(np.maximum(-low, high) / np.float32(middle - 1))
            return scale, np.full(scale.shape, middle, np.int16)
        top = (1 << self.bits) - 1
        scale = self._stored((high - low) / np.float32(top))
        return scale, np.rint(-low * inverse(scale)).clip(0, top).astype(np.int16)

    def _stored(self, scale: NDArray[Any]) -> Floats:
        return scale.astype(np.float16 if self.block_size else np.float32).astype(np.float32)

    def round(self, values: Floats, scales: Scales) -> Codes:
        scale, zero = scales
        codes: Codes = np.rint(values * inverse(scale)).clip(-256, 256).astype(np.int16)
        return codes.clip(-zero, (1 << self.bits) - 1 - zero)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        scale, *zero, codes = self.split(data)
        zeros = zero[0].astype(np.int16) if zero else np.full((len(data), 1), 1 << (self.bits - 1), np.int16)
        return codes - zeros, (scale, zeros)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        scale, zero = scales
        return self.join(*((scale,) if self.symmetric else (scale, zero)), codes + zero)


@cache
def parse(name: str) -> Affine | None:
    """The affine format of a lower-case name such as "int4_sym_g32"; None if it is not one."""
    match = PATTERN.fullmatch(name)
    if match is None or int(match[3] or 0) % 8:
        return None
    return Affine(int(match[1]), match[2] == "sym", int(match[3] or 0), name.endswith("tensor"))
