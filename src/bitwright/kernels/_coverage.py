"""How the engine multiplies each format on each tier: a property of the pair, never of the format alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bitwright import formats
from bitwright.formats import Format
from bitwright.kernels._matmul import is_native, tiers
from bitwright.kernels._native import core, format_id


class Coverage(NamedTuple):
    """One format on one tier. A path is "integer dot" (int8 inputs times stored codes), "bf16 dot" (bfloat16 inputs
    times bfloat16 weights), "float" (weights converted to float32 in registers), "converted" (to float32 a few rows at
    a time) or "reference" (to float32 once, by `formats`, and kept)."""

    format: str
    tier: str
    decode: str
    prefill: str


def coverage(chosen: Iterable[Format] | None = None) -> list[Coverage]:
    """A row for each of the chosen formats (default: all named ones) and every tier this machine can run."""
    paths = {(id, tier): (decode, prefill) for id, tier, decode, prefill in core().coverage()}
    return [
        Coverage(f.name, tier, *(paths[format_id(f), tier] if is_native(f) else ("reference", "reference")))
        for f in (formats.all() if chosen is None else chosen)
        for tier in tiers()
    ]


def bytes_read(format: Format, rows: int, columns: int, tier: str | None = None) -> int:
    """Bytes of a weight in the layout that the tier (default: the best) reads; the file's layout may differ."""
    if not is_native(format):
        return 4 * rows * columns
    return int(core().bytes_read(format_id(format), rows, columns, tier or ""))


def packed_bytes(format: Format, shape: Sequence[int], tier: str | None = None) -> int:
    """Bytes of a matrix (rows, columns), or of all of one (experts, rows, columns), in the layout that the tier reads:
    each of stacked experts is packed as its own matrix."""
    return math.prod(shape[:-2]) * bytes_read(format, shape[-2], shape[-1], tier)
