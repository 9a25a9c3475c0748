"""The I-quants of 1 to 3 bits: eight (or four) weights at a time are a point of a fixed grid, with signs.

Layouts: ggml-common.h; order of operations: dequantize_row_iq* of ggml-quants.c, matched bit for bit. This module only
decodes: the compiled quantizer finds the points. Codes are coordinates with their signs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import bits
from bitwright.formats.field import Bytes, Field
from bitwright.formats.format import Codes, Floats, Format, Scales, register
from bitwright.formats.grid_points import GRIDS

SCALE = Field("d", "f16", 1, "scale of the scales")
NIBBLES = Field("scales", "u8", 8, "scale s of each 16 weights", bits=4)
SIGNS = Field("signs", "u8", 32, "one bit a weight, 1: negative", bits=1)


@cache
def grid(name: str) -> NDArray[np.int8]:
    """The points (points, 8 or 4) of one of `GRIDS`."""
    levels, coordinates, points = GRIDS[name]
    bits_each = 16 // coordinates
    words = np.frombuffer(bytes.fromhex(points), ">u2")[:, None]
    index = words >> (bits_each * np.arange(coordinates)) & ((1 << bits_each) - 1)
    grid_points: NDArray[np.int8] = np.array(levels, np.int8)[index]
    return grid_points


@cache
def even_signs() -> NDArray[np.int8]:
    """The eight signs (128, 8) of each 7-bit index; the eighth makes the number of minus signs even."""
    negative = bits.unpack(np.arange(128, dtype=np.uint8)[:, None], 1)
    negative[:, 7] = negative.sum(axis=1) % 2
    return signs(negative)


def signs(negative: Bytes) -> NDArray[np.int8]:
    """Factors: -1 for bit 1, 1 for bit 0."""
    return np.int8(1) - negative.view(np.int8) * np.int8(2)


class Grid(Format):
    """`scales` is (d, s): a float16 and small integers (blocks, groups)."""

    block_size, compiled = 256, True
    quarter: float = 0.25  # scale = d * (0.5 + s) * quarter

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, s = scales
        return d.astype(np.float32) * (np.float32(0.5) + s.astype(np.float32)) * np.float32(self.quarter), None


class SharedSigns(Grid):
    """Formats with a 32-bit word for 32 weights: four 7-bit indices of signs and a 4-bit scale."""

    groups = 8

    def signed(self, points: NDArray[np.int8], words: NDArray[np.uint32]) -> tuple[Codes, Codes]:
        """Codes (blocks, 256) of the points with their signs, and the scales (blocks, 8) of words (blocks, 8)."""
        index = words[:, :, None] >> np.array([0, 7, 14, 21], np.uint32) & np.uint32(127)
        return points.reshape(len(words), 256) * even_signs()[index].reshape(len(words), 256), words >> 28


@register
class IQ2_XXS(SharedSigns):
    name, ggml = "iq2_xxs", 16
    fields = (
        SCALE,
        Field(
            "qs",
            "u32",
            16,
            "for each 32 weights two words: four 8-bit indices of 8 grid coordinates; "
            "then four 7-bit indices of signs and, in the top 4 bits, the scale s",
        ),
    )
    summary = "8 weights are one of 256 grid points, scale for 32"
    formula = "w = (d * (0.5 + s) / 4) * (sign * grid[index])"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, words = self.split(data)
        index = np.ascontiguousarray(words[:, ::2]).view(np.uint8)
        codes, s = self.signed(grid("iq2_xxs")[index], words[:, 1::2])
        return codes, (d, s)


@register
class IQ2_XS(Grid):
    name, ggml, groups = "iq2_xs", 17, 16
    fields = (
        SCALE,
        Field("qs", "u16", 32, "for each 8 weights 9 bits index of coordinates, 7 bits index of signs"),
        NIBBLES,
    )
    summary = "8 weights are one of 512 grid points, scale for 16"
    formula = "w = (d * (0.5 + s) / 4) * (sign * grid[index])"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, q, s = self.split(data)
        return (grid("iq2_xs")[q & 511] * even_signs()[q >> 9]).reshape(len(data), 256), (d, s)


@register
class IQ2_S(Grid):
    name, ggml, groups = "iq2_s", 22, 16
    fields = (
        SCALE,
        Field("qs", "u8", 32, "for each 8 weights the low 8 bits of the index of grid coordinates"),
        SIGNS,
        Field("qh", "u8", 8, "the high 2 bits of the indices", bits=2),
        NIBBLES,
    )
    summary = "8 weights are one of 1024 grid points with free signs, scale for 16"
    formula = "w = (d * (0.5 + s) / 4) * (sign * grid[index]), index = qs + 256 qh"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, low, negative, high, s = self.split(data)
        index = low | high.astype(np.uint16) << 8
        return grid("iq2_s")[index].reshape(len(data), 256) * signs(negative), (d, s)


@register
class IQ3_XXS(SharedSigns):
    name, ggml, quarter = "iq3_xxs", 18, 0.5
    fields = (
        SCALE,
        Field("qs", "u8", 64, "for each 4 weights the index of grid coordinates"),
        Field("signs", "u32", 8, "for each 32 weights four 7-bit indices of signs, then the 4-bit scale s"),
    )
    summary = "4 weights are one of 256 grid points, scale for 32"
    formula = "w = (d * (0.5 + s) / 2) * (sign * grid[index])"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, index, words = self.split(data)
        codes, s = self.signed(grid("iq3_xxs")[index], words)
        return codes, (d, s)


@register
class IQ3_S(Grid):
    name, ggml, groups = "iq3_s", 21, 8
    fields = (
        SCALE,
        Field("qs", "u8", 64, "for each 4 weights the low 8 bits of the index of grid coordinates"),
        Field("qh", "u8", 8, "the ninth bit of the indices", bits=1),
        SIGNS,
        Field("scales", "u8", 4, "scale s of each 32 weights", bits=4),
    )
    summary = "4 weights are one of 512 grid points with free signs, scale for 32"
    formula = "w = (d * (1 + 2 s)) * (sign * grid[index]), index = qs + 256 qh"

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, s = scales
        return d.astype(np.float32) * (1 + 2 * s), None

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, low, high, negative, s = self.split(data)
        index = low | high.astype(np.uint16) << 8
        return grid("iq3_s")[index].reshape(len(data), 256) * signs(negative), (d, s)


class ShiftedGrid(Grid):
    """Coordinates -1, 0 or 1, plus or minus 1/8. Codes count eighths, so scales are divided by 8 (which is exact)."""

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        d, s = scales
        return d.astype(np.float32) * (2 * s + 1).astype(np.float32) / np.float32(8), None

    def shifted(self, index: NDArray[Any], down: NDArray[Any]) -> Codes:
        """Codes (blocks, 256) of grid indices (blocks, 32); down (blocks, 32) is 1 where 1/8 is subtracted."""
        points: Codes = grid("iq1")[index] * np.int8(8) + signs(down.astype(np.uint8))[..., None]
        return points.reshape(len(index), 256)


@register
class IQ1_S(ShiftedGrid):
    name, ggml, groups = "iq1_s", 19, 8
    fields = (
        SCALE,
        Field("qs", "u8", 32, "for each 8 weights the low 8 bits of the index of grid coordinates"),
        Field("qh", "u16", 8, "for each 32 weights four 3-bit tops of indices, 3 bits scale s, 1 bit shift down"),
    )
    summary = "8 weights are one of 2048 ternary grid points, scale for 32"
    formula = "w = (d * (2 s + 1)) * (grid[index] +- 1/8)"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        d, low, words = self.split(data)
        high = words[:, :, None] >> np.array([0, 3, 6, 9], np.uint16) & np.uint16(7)
        index = low | high.reshape(len(data), 32) << 8
        return self.shifted(index, (words >> 15).repeat(4, axis=1)), (d, words >> 12 & 7)


@register
class IQ1_M(ShiftedGrid):
    name, ggml, groups = "iq1_m", 29, 16
    fields = (
        Field("qs", "u8", 32, "for each 8 weights the low 8 bits of the index of grid coordinates"),
        Field("qh", "u8", 16, "for each 8 weights 3 bits top of the index, 1 bit shift down", bits=4),
        Field(
            "scales",
            "u16",
            4,
            "four 3-bit scales s, one of each 16 weights; the top 4 bits of the words, "
            "lowest first, are the float16 scale d",
        ),
    )
    summary = "8 weights are one of 2048 ternary grid points, scale for 16"
    formula = "w = (d * (2 s + 1)) * (grid[index] +- 1/8)"

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        low, high, words = self.split(data)
        pieces = words >> 12 << np.array([0, 4, 8, 12], np.uint16)
        d = np.bitwise_or.reduce(pieces, axis=1, keepdims=True).view(np.float16)
        s = words[:, :, None] >> np.array([0, 3, 6, 9], np.uint16) & np.uint16(7)
        index = low | (high & 7).astype(np.uint16) << 8
        return self.shifted(index, high >> 3), (d, s.reshape(len(data), 16))
