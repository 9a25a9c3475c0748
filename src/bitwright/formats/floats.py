"""Element formats: every weight is a floating-point number by itself, without a scale.

Names and rounding are those of ml_dtypes: round to nearest, ties to even; a value out of range becomes an infinity if
the format has one, else NaN if it has one, else the largest number. `quantize`, meant for weights, refuses values that
would become infinite or NaN; `round` is the plain conversion.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, add, register


class ElementFormat(Format):
    """A code is the bits of one number; `values` is not scaled.

    exponent, mantissa: bits of each. bias: what is subtracted from the exponent. special: which magnitudes are not
    numbers: "ieee" (top exponent), "fn" (the topmost code), "" (none)."""

    exponent: int
    mantissa: int
    bias: int
    special: str = "ieee"

    @property
    def bits(self) -> int:
        """Bits of one number."""
        return 8 * self.block_bytes // self.block_size

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        return ()

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(codes)

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        return self.split(data)[0], ()

    def overflows(self, values: Floats, packed: Bytes) -> NDArray[np.bool_]:
        return np.asarray(~np.isfinite(self.decode(*self.unpack(packed))).all(axis=1))


@register
class Float32(ElementFormat):
    name, aliases, ggml, block_size = "float32", ("f32",), 0, 1
    fields = (Field("bits", "u32", 1, "sign 1, exponent 8, mantissa 23 bits"),)
    summary = "IEEE single precision"
    formula = "w = float32(bits)"
    exponent, mantissa, bias = 8, 23, 127

    def round(self, values: Floats, scales: Scales) -> Codes:
        return values.view(np.uint32)

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        return codes.view(np.float32)


@register
class Float16(ElementFormat):
    name, aliases, ggml, block_size = "float16", ("f16", "fp16"), 1, 1
    fields = (Field("bits", "u16", 1, "sign 1, exponent 5, mantissa 10 bits"),)
    summary = "IEEE half precision; largest number 65504"
    formula = "w = float16(bits)"
    exponent, mantissa, bias = 5, 10, 15

    def round(self, values: Floats, scales: Scales) -> Codes:
        return values.astype(np.float16).view(np.uint16)

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        return codes.view(np.float16).astype(np.float32)


@register
class BFloat16(ElementFormat):
    name, aliases, ggml, block_size = "bfloat16", ("bf16",), 30, 1
    fields = (Field("bits", "u16", 1, "sign 1, exponent 8, mantissa 7 bits"),)
    summary = "the upper half of a float32: its range, a quarter of its digits"
    formula = "w = float32(bits << 16)"
    exponent, mantissa, bias = 8, 7, 127

    def round(self, values: Floats, scales: Scales) -> Codes:
        bits = values.view(np.uint32)
        even = bits + (np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1)))  # half a step, minus one bit if even
        nan = bits >> 16 & np.uint32(0x8000) | np.uint32(0x7FC0)
        return np.where(np.isnan(values), nan, even >> 16).astype(np.uint16)

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        return (codes.astype(np.uint32) << 16).view(np.float32)


class MiniFloat(ElementFormat):
    """A float of at most 8 bits, decoded by a table of all its codes and encoded by the midpoints between them."""

    def __init__(self, name: str, exponent: int, mantissa: int, bias: int, special: str, nan: int, summary: str):
        """nan: the bits that are XORed with the sign for NaN. The others: see ElementFormat."""
        self.name, self.nan, self.summary = name, nan, summary
        self.exponent, self.mantissa, self.bias, self.special = exponent, mantissa, bias, special
        bits = 1 + exponent + mantissa
        self.block_size = {8: 1, 6: 4, 4: 2}[bits]
        layout = f"sign 1, exponent {exponent}, mantissa {mantissa} bits"
        if bits == 8:
            self.fields = (Field("bits", "u8", 1, layout),)
        else:
            count = self.block_size * bits // 8
            self.fields = (Field("bits", "u8", count, f"{layout}, packed densely", bits),)
        self.formula = (
            f"w = (-1)^sign * 2^(e - {bias}) * (1 + m / {1 << mantissa}); "
            f"e = 0: (-1)^sign * 2^{1 - bias} * m / {1 << mantissa}"
        )

    @cached_property
    def magnitudes(self) -> NDArray[np.float64]:
        """The numbers of the codes without their sign, as if none were special; they rise with the code."""
        e, m = np.divmod(np.arange(1 << (self.bits - 1)), 1 << self.mantissa)
        return (e > 0) * 2.0 ** (e - self.bias) + m * 2.0 ** (np.maximum(e, 1) - self.bias - self.mantissa)

    @cached_property
    def finite(self) -> int:
        """How many magnitudes, from code 0, are numbers."""
        return len(self.magnitudes) - {"ieee": 1 << self.mantissa, "fn": 1, "": 0}[self.special]

    @cached_property
    def table(self) -> Floats:
        """The number of every code."""
        magnitudes = self.magnitudes.astype(np.float32)
        magnitudes[self.finite :] = np.nan
        if self.special == "ieee":
            magnitudes[self.finite] = np.inf
        return np.concatenate([magnitudes, -magnitudes])

    @cached_property
    def thresholds(self) -> Floats:
        """The largest float32 that rounds to code k; just below the midpoint if the tie goes to the even k + 1."""
        last = self.finite if self.special else self.finite - 1
        midpoints = ((self.magnitudes[:last] + self.magnitudes[1 : last + 1]) / 2).astype(np.float32)
        midpoints[1::2] = np.nextafter(midpoints[1::2], np.float32(0))
        return midpoints

    def round(self, values: Floats, scales: Scales) -> Codes:
        sign = np.signbit(values).astype(np.uint8) << (self.bits - 1)
        magnitude = np.searchsorted(self.thresholds, np.abs(values)).astype(np.uint8)
        return sign ^ np.where(np.isnan(values), np.uint8(self.nan), magnitude)

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        return self.table[codes]


class Exponent8(ElementFormat):
    """OCP E8M0: a power of two, the scale of the MX formats; no zero and no sign. As in ml_dtypes, ties go up, and so
    does everything between the two smallest."""

    name, block_size = "float8_e8m0fnu", 1
    fields = (Field("bits", "u8", 1, "exponent 8 bits"),)
    summary = "a power of two, 2^-127 to 2^127; the scale of MX formats"
    formula = "w = 2^(bits - 127); 255: NaN"
    exponent, mantissa, bias, special = 8, 0, 127, "fn"

    @cached_property
    def table(self) -> Floats:
        return np.append(np.ldexp(np.float32(1), np.arange(-127, 128)), np.float32(np.nan)).astype(np.float32)

    @cached_property
    def thresholds(self) -> Floats:
        """The largest float32 that rounds to each code."""
        midpoints = np.ldexp(1.5, np.arange(-127, 128)).astype(np.float32)
        return np.append(self.table[:1], np.nextafter(midpoints[1:], np.float32(0)))

    def round(self, values: Floats, scales: Scales) -> Codes:
        codes = np.searchsorted(self.thresholds, values).astype(np.uint8)
        return np.where(values > 0, codes, np.uint8(255))

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        return self.table[codes]


float8_e4m3fn = MiniFloat("float8_e4m3fn", 4, 3, 7, "fn", 0x7F, "8 bits, no infinity; largest number 448")
float8_e5m2 = MiniFloat("float8_e5m2", 5, 2, 15, "ieee", 0x7E, "8 bits with infinities; largest number 57344")
float8_e8m0fnu = Exponent8()
float6_e2m3fn = MiniFloat("float6_e2m3fn", 2, 3, 1, "", 0x20, "6 bits, numbers only, saturating at 7.5")
float6_e3m2fn = MiniFloat("float6_e3m2fn", 3, 2, 3, "", 0x20, "6 bits, numbers only, saturating at 28")
float4_e2m1fn = MiniFloat("float4_e2m1fn", 2, 1, 1, "", 0x08, "4 bits, +-0 0.5 1 1.5 2 3 4 6, saturating")

for _format in (float8_e4m3fn, float8_e5m2, float8_e8m0fnu, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn):
    add(_format)
