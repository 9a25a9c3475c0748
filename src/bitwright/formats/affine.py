"""Textbook integer quantization: w = scale * (code - zero), with 2 to 8 bits for a code.

`int4_sym_g32`: symmetric (the zero-point is the middle code), a scale for each group of 32 columns.
`int8_asym_row`: asymmetric (scale and integer zero-point), one for each row.
`int3_sym_tensor`: one scale for the tensor, repeated in every row so that any row can be read by itself.

Groups store their scale as float16, rows and tensors as float32. Codes are packed densely (`bits.py`), so groups and
rows are multiples of 8 columns.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.formats.format import Bytes, Codes, Field, Floats, Format, Scales
from bitwright.formats.rounding import inverse

PATTERN = re.compile(r"int([2-8])_(sym|asym)_(?:g([1-9]\d{0,5})|row|tensor)")
NAMES = "int<2-8>_<sym|asym>_<g<multiple of 8>|row|tensor>"
CLIPS = np.array([1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5], np.float32)      # tried when importance is known


class Affine(Format):
    """Unpacked codes are relative to the zero-point; `scales` is (scale, zero)."""

    def __init__(self, bits: int, symmetric: bool, group: int, whole: bool) -> None:
        """group: columns that share a scale, 0 for all of a row; whole: all rows share it."""
        self.bits, self.symmetric, self.block_size, self.whole = bits, symmetric, group, whole
        kind, share = "sym" if symmetric else "asym", f"g{group}" if group else "tensor" if whole else "row"
        self.name = f"int{bits}_{kind}_{share}"
        middle = 1 << (bits - 1)
        zero = () if symmetric else (Field("zero", "u8", 1, "zero-point: the code that decodes to 0"),)
        self.fields = (Field("scale", "f16" if group else "f32", 1, "scale"), *zero,
                       Field("codes", "u8", group * bits // 8, "codes, packed densely", bits))
        self.formula = f"w = scale * (code - {middle if symmetric else 'zero'})"
        shared = f"every {group} columns" if group else "the whole tensor" if whole else "each row"
        self.summary = f"{bits}-bit integers, {'scale' if symmetric else 'scale and zero-point'} for {shared}"

    # -- sizes of formats whose block is a row

    @property
    def bits_per_weight(self) -> float:
        """All stored bits over all weights; for a block of a whole row, what long rows tend to."""
        return super().bits_per_weight if self.block_size else float(self.bits)

    def row_bytes(self, columns: int) -> int:
        if self.block_size:
            return super().row_bytes(columns)
        if columns % 8:
            raise UsageError(f"{self.name} packs 8 columns at a time, which do not divide {columns} columns")
        return self.block_bytes + columns * self.bits // 8

    def columns(self, row_bytes: int) -> int:
        if self.block_size:
            return super().columns(row_bytes)
        octets, rest = divmod(row_bytes - self.block_bytes, self.bits)
        if rest or octets < 0:
            raise UsageError(f"{self.name}: a row is {self.block_bytes} bytes and {self.bits} more for each 8 columns, "
                             f"got {row_bytes}")
        return 8 * octets

    # -- codes and scales

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        """Scales from the extremes; with importance, the best of a few that clip the extremes."""
        axis = None if self.whole else 1
        low = np.minimum(values.min(axis=axis, keepdims=True), 0)
        high = np.maximum(values.max(axis=axis, keepdims=True), 0)
        scales = self._span(low, high)
        if importance is None:
            return tuple(np.broadcast_to(s, (len(values), 1)) for s in scales)
        least = np.inf
        for clip in CLIPS:
            trial = self._span(clip * low, clip * high)
            error = importance * (values - self.decode(self.round(values, trial), trial)) ** 2
            error = error.sum(axis=axis, keepdims=True)
            scales = tuple(np.where(error < least, t, s) for t, s in zip(trial, scales, strict=True))
            least = np.minimum(error, least)
        return tuple(np.broadcast_to(s, (len(values), 1)) for s in scales)

    def _span(self, low: Floats, high: Floats) -> Scales:
        """Scale, as it will be stored, and zero-point for a range low <= 0 <= high."""
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
        codes = np.rint(values * inverse(scale)).clip(-256, 256).astype(np.int16)
        return codes.clip(-zero, (1 << self.bits) - 1 - zero)

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        return scales[0].astype(np.float32), None

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        scale, *zero, codes = self.split(data)
        zeros = zero[0].astype(np.int16) if zero else np.full((len(data), 1), 1 << (self.bits - 1), np.int16)
        return codes - zeros, (scale, zeros)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        scale, zero = scales
        return self.join(*((scale,) if self.symmetric else (scale, zero)), codes + zero)


@cache
def parse(name: str) -> Affine | None:
    """The affine format of a lower-case name such as "int4_sym_g32"; None when it is not one."""
    match = PATTERN.fullmatch(name)
    if match is None or int(match[3] or 0) % 8:
        return None
    return Affine(int(match[1]), match[2] == "sym", int(match[3] or 0), name.endswith("tensor"))
