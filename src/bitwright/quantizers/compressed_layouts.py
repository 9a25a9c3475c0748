"""How compressed-tensors stores matrices in the formats that it and bitwright share, to the last bit.

https://github.com/vllm-project/compressed-tensors (src/compressed_tensors/compressors: pack_quantized, mxfp4, nvfp4,
naive_quantized).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.formats import Format
from bitwright.model.conversion.quantized import PACKED, PACKED_FP4, ZERO_SCALE

Shape = tuple[int, ...]
ALIASES = {"fp8": "float8_e4m3fn_row"}


class Layout(NamedTuple):
    """kind: `format` in config.json. weights, activations: the settings of a group there. parts: the tensors of a
    matrix (rows, columns): the ends of their names, types, and shapes. arrays: these, of the matrix's codes and scales
    (a row each). in_float16: the scales are, so the model computes in float16."""

    kind: str
    weights: dict[str, Any]
    parts: Callable[[int, int], list[tuple[str, str, Shape]]]
    arrays: Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], ...]]
    in_float16: bool = False
    activations: dict[str, Any] | None = None


def of(name: str) -> tuple[Format, Layout] | None:
    """A format and its layout; None if compressed-tensors has none. UnknownNameError for an unknown format."""
    format = formats.get(ALIASES.get(name.lower(), name))
    return (format, LAYOUTS[format.name]) if format.name in LAYOUTS else None


def names() -> list[str]:
    """The formats that have a layout, as users name them."""
    short = {own: alias for alias, own in ALIASES.items()}
    return [short.get(name, name) for name in LAYOUTS]


def stored(format: Format, layout: Layout, data: NDArray[np.uint8], columns: int) -> tuple[NDArray[Any], ...]:
    """The tensors of a matrix whose rows are `data`, uint8 (rows, bytes of a row)."""
    blocks = data.reshape(-1, format.block_bytes) if format.block_size else data
    codes, (scale,) = format.unpack(blocks)
    return layout.arrays(codes.reshape(-1, columns), scale.reshape(len(data), -1))


def _integers(bits: int) -> Layout:
    """Q4_0 and Q8_0: signed codes in 32-bit words, the first in the lowest bits, under float16 scales."""

    def parts(rows: int, columns: int) -> list[tuple[str, str, Shape]]:
        return [("_packed", "I32", (rows, columns * bits // 32)), ("_shape", "I64", (2,)),
                ("_scale", "F16", (rows, columns // 32))]  # fmt: skip

    def arrays(codes: NDArray[Any], scale: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        bytes_ = (codes.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
        words = (_nibbles(bytes_) if bits == 4 else bytes_).view("<i4")
        return words, np.array(codes.shape, "<i8"), scale.astype("<f2")

    return Layout(PACKED, _settings(bits, "int", "group", 32), parts, arrays, in_float16=True)


def _mxfp4() -> Layout:
    def parts(rows: int, columns: int) -> list[tuple[str, str, Shape]]:
        return [("_packed", "U8", (rows, columns // 2)), ("_scale", "U8", (rows, columns // 32))]

    return Layout(PACKED_FP4["mxfp4"], _settings(4, "float", "group", 32) | {"scale_dtype": "torch.uint8"}, parts,
                  lambda codes, scale: (_nibbles(codes), scale))  # fmt: skip


def _nvfp4() -> Layout:
    """The scale that a whole matrix may have besides is 1."""

    def parts(rows: int, columns: int) -> list[tuple[str, str, Shape]]:
        return [("_packed", "U8", (rows, columns // 2)), ("_scale", "F8_E4M3", (rows, columns // 16)),
                ("_global_scale", "F32", (1,))]  # fmt: skip

    def arrays(codes: NDArray[Any], scale: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return _nibbles(codes), np.where(scale == ZERO_SCALE, 0, scale).astype(np.uint8), np.ones(1, "<f4")

    settings = _settings(4, "float", "tensor_group", 16) | {"scale_dtype": "torch.float8_e4m3fn"}
    return Layout(PACKED_FP4["nvfp4"], settings, parts, arrays)


def _fp8() -> Layout:
    """A scale for each row; activations are rounded to FP8 too, each token's under a scale found as it comes."""

    def parts(rows: int, columns: int) -> list[tuple[str, str, Shape]]:
        return [("", "F8_E4M3", (rows, columns)), ("_scale", "F32", (rows, 1))]

    return Layout("float-quantized", _settings(8, "float", "channel"), parts,
                  lambda codes, scale: (codes, scale.astype("<f4")),
                  activations=_settings(8, "float", "token") | {"dynamic": True})  # fmt: skip


def _settings(bits: int, kind: str, strategy: str, group: int | None = None) -> dict[str, Any]:
    found = {"num_bits": bits, "type": kind, "symmetric": True, "strategy": strategy, "dynamic": False}
    return found if group is None else found | {"group_size": group}


def _nibbles(codes: NDArray[Any]) -> NDArray[np.uint8]:
    """Two 4-bit codes in each byte, the first in the lower half."""
    found: NDArray[np.uint8] = codes[:, ::2] | codes[:, 1::2] << np.uint8(4)
    return found


LAYOUTS = {"q4_0": _integers(4), "q8_0": _integers(8), "mxfp4": _mxfp4(), "nvfp4": _nvfp4(), ALIASES["fp8"]: _fp8()}
