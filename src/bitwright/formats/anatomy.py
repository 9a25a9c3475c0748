"""What each bit of a block is for, found by flipping it: which codes, scales or mins it changes.

Nothing here knows a format: a bit serves whatever `Format.unpack` and `Format.steps` make different of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats.field import Bytes
from bitwright.formats.format import Codes, Floats, Format

CONTEXTS = 256  # blocks in which a bit is flipped: each byte has every value in one of them
MOST = 1 << 25  # weights decoded for that: larger blocks are flipped in fewer contexts, of random bytes


@dataclass(frozen=True)
class Use:
    """What a bit serves. role: "code", "scale", "min" or "none". places: weights of a code, or groups of the others."""

    role: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Parts:
    """Blocks taken apart: codes (blocks, block_size), the numbers they stand for, scale and min (blocks, groups)."""

    codes: Codes
    numbers: NDArray[Any]
    scale: Floats
    minimum: Floats | None


def parts(format: Format, blocks: Bytes) -> Parts:
    """Packed bytes (blocks, block_bytes) taken apart: weight = scale * number + min."""
    codes, scales = format.unpack(blocks)
    with np.errstate(over="ignore", invalid="ignore"):
        scale, minimum = format.steps(scales)
    numbers = codes if format.table is None else format.table[codes]
    scale, *least = (np.broadcast_to(s, (len(blocks), format.groups)) for s in (scale, minimum) if s is not None)
    return Parts(codes, numbers, scale, least[0] if least else None)


def flipped(format: Format, block: Bytes) -> Parts:
    """A block (block_bytes,) with one bit flipped, once for each: bit 0 of byte 0 first."""
    bits = np.arange(8 * len(block))
    blocks = np.repeat(block[None], len(bits), axis=0)
    blocks[bits, bits // 8] ^= np.uint8(1) << (bits % 8).astype(np.uint8)
    return parts(format, blocks)


@cache
def uses(format: Format) -> tuple[Use, ...]:
    """What each bit of a block serves, bit 0 of byte 0 first."""
    count = min(CONTEXTS, max(8, MOST // (8 * format.block_bytes * format.block_size)))
    random = np.random.default_rng(0)
    blocks = np.stack([random.permutation(256)[:count] for _ in range(format.block_bytes)], axis=1).astype(np.uint8)
    before = parts(format, blocks)
    found = []
    for byte in range(format.block_bytes):
        for bit in range(8):
            blocks[:, byte] ^= np.uint8(1 << bit)
            found.append(_use(before, parts(format, blocks)))
            blocks[:, byte] ^= np.uint8(1 << bit)
    return tuple(found)


def _use(before: Parts, after: Parts) -> Use:
    for role, old, new in (
        ("code", before.numbers, after.numbers),
        ("scale", before.scale, after.scale),
        ("min", before.minimum, after.minimum),
    ):
        if old is None or new is None:
            continue
        same = (old == new) | (np.isnan(old) & np.isnan(new))
        if not same.all():
            return Use(role, tuple(np.flatnonzero(~same.all(axis=0)).tolist()))
    return Use("none", ())
