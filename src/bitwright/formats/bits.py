"""Codes narrower than a byte: packing them into bytes and unpacking them.

Two layouts cover every format here.

*Planes* (ggml's habit). Bytes come in runs of `run`; byte j of a run holds one code of each plane, plane 0 in its
lowest bits, and plane p holds the codes `p * run + j`. A run of 1 is the plain little-endian bit stream for 1, 2 and 4
bits.

*Dense*. The plain little-endian bit stream for any width: code i is bits `[i * bits, (i + 1) * bits)`, where bit b is
bit `b % 8` of byte `b // 8`. Eight codes always fill `bits` bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def unpack(data: Bytes, bits: int, run: int = 1) -> Bytes:
    """Codes (blocks, bytes * 8 / bits) of packed bytes (blocks, bytes)."""
    if 8 % bits:
        return _unpack_dense(data, bits)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    planes = data.reshape(len(data), data.shape[1] // run, 1, run) >> shifts
    planes &= np.uint8((1 << bits) - 1)
    return planes.reshape(len(data), data.shape[1] * (8 // bits))


def pack(codes: Bytes, bits: int, run: int = 1) -> Bytes:
    """Packed bytes (blocks, codes * bits / 8) of codes (blocks, codes); each code fits `bits` bits."""
    if 8 % bits:
        return _pack_dense(codes, bits)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    planes = codes.reshape(len(codes), codes.shape[1] * bits // (8 * run), 8 // bits, run) << shifts
    packed: Bytes = np.bitwise_or.reduce(planes, axis=2)
    return packed.reshape(len(codes), codes.shape[1] * bits // 8)


def _unpack_dense(data: Bytes, bits: int) -> Bytes:
    stream = np.unpackbits(data, axis=-1, bitorder="little")
    stream = stream.reshape(len(data), data.shape[1] * 8 // bits, bits)
    return np.packbits(stream, axis=-1, bitorder="little")[..., 0]


def _pack_dense(codes: Bytes, bits: int) -> Bytes:
    stream = np.unpackbits(codes[..., None], axis=-1, count=bits, bitorder="little")
    return np.packbits(stream.reshape(len(codes), codes.shape[1] * bits), axis=-1, bitorder="little")


def words(data: Bytes, dtype: str) -> NDArray[Any]:
    """Bytes (blocks, bytes) read as little-endian items of `dtype`, (blocks, bytes / itemsize)."""
    return np.ascontiguousarray(data).view(dtype)
