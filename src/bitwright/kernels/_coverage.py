"""How the engine multiplies each format on each tier: a property of the pair, never of the format alone."""

from __future__ import annotations

from typing import NamedTuple

from bitwright import formats
from bitwright.kernels._matmul import is_native, tiers
from bitwright.kernels._native import core, format_id


class Row(NamedTuple):
    """One format on one tier. A path is "integer dot" (int8 inputs times stored codes), "float" (weights converted to
    float32 in registers or a few rows at a time) or "reference" (decoded to float32 once, by `formats`)."""

    format: str
    tier: str
    decode: str
    prefill: str


def coverage() -> list[Row]:
    """A row for every format and every tier this machine can run."""
    paths = dict(core().formats())
    rows = []
    for format in formats.all():
        path = paths[format_id(format)] if is_native(format) else "reference"
        rows += [Row(format.name, tier, path, path) for tier in tiers()]
    return rows
