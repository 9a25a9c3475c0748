"""The bytes of a block: fields one after another, taken apart and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import bits as bitpack

Bytes = NDArray[np.uint8]

DTYPES = {"u8": "<u1", "i8": "<i1", "u16": "<u2", "i16": "<i2", "u32": "<u4", "f16": "<f2", "f32": "<f4"}


@dataclass(frozen=True)
class Field:
    """Consecutive bytes of a block: `count` items of `dtype`.

    With `bits`, the field's bytes hold codes of that width, laid out as in `bits.py` with runs of `run` bytes.
    """

    name: str
    dtype: str
    count: int
    doc: str
    bits: int = 0
    run: int = 1

    @property
    def nbytes(self) -> int:
        return self.count * np.dtype(DTYPES[self.dtype]).itemsize


def split(fields: Sequence[Field], data: Bytes) -> list[NDArray[Any]]:
    """The fields of packed bytes (blocks, block_bytes), in order; packed codes come out one per byte.

    A field of 0 bytes takes the rest of the block.
    """
    parts: list[NDArray[Any]] = []
    start = 0
    for field in fields:
        stop = start + field.nbytes if field.nbytes else data.shape[1]
        part = bitpack.words(data[:, start:stop], DTYPES[field.dtype])
        parts.append(bitpack.unpack(part, field.bits, field.run) if field.bits else part)
        start = stop
    return parts


def join(fields: Sequence[Field], parts: Sequence[NDArray[Any]]) -> Bytes:
    """Packed bytes (blocks, block_bytes) of the fields in order: the inverse of `split`."""
    packed = []
    for field, part in zip(fields, parts, strict=True):
        part = part.reshape(len(part), -1)
        part = bitpack.pack(part.astype(np.uint8), field.bits, field.run) if field.bits else part
        packed.append(np.ascontiguousarray(part.astype(DTYPES[field.dtype], copy=False)).view(np.uint8))
    return np.concatenate(packed, axis=1)
