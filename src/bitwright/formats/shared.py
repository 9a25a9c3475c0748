"""Formats with one scale for each group of columns, for each row, or for the whole tensor.

`..._g32` is a scale for each group of 32 columns, `..._row` one for each row, `..._tensor` one for the tensor, repeated
in every row so that any row can be read by itself.
"""

from __future__ import annotations

import numpy as np

from bitwright.errors import UsageError
from bitwright.formats.format import Floats, Format, Scales

SHARE = r"(?:g([1-9]\d{0,5})|row|tensor)"
SHARES = "<g<multiple of 8>|row|tensor>"
CLIPS = np.array([1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5], np.float32)  # tried when importance is known


class Shared(Format):
    """A family of formats whose blocks are groups, or whole rows; subclasses define `span`."""

    def __init__(self, bits: int, group: int, whole: bool) -> None:
        """bits: of a code. group: columns that share a scale, 0 for a whole row. whole: all rows share it."""
        self.bits, self.block_size, self.whole = bits, group, whole
        self.share = f"g{group}" if group else "tensor" if whole else "row"
        self.shared = f"every {group} columns" if group else "the whole tensor" if whole else "each row"

    def span(self, low: Floats, high: Floats) -> Scales:
        """Scales, as they will be stored, for a range low <= 0 <= high."""
        raise NotImplementedError

    # -- sizes of formats whose block is a row

    @property
    def bits_per_weight(self) -> float:
        """All stored bits over all weights; if a block is a whole row, the limit for long rows."""
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
            raise UsageError(
                f"{self.name}: a row is {self.block_bytes} bytes plus {self.bits} for each 8 columns, got {row_bytes}"
            )
        return 8 * octets

    # -- codes and scales

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        """Scales from the extremes; with importance, the best of a few that clip the extremes."""
        axis = None if self.whole else 1
        low = np.minimum(values.min(axis=axis, keepdims=True), 0)
        high = np.maximum(values.max(axis=axis, keepdims=True), 0)
        scales = self.span(low, high)
        if importance is None:
            return tuple(np.broadcast_to(s, (len(values), 1)) for s in scales)
        least = np.inf
        for clip in CLIPS:
            trial = self.span(clip * low, clip * high)
            error = importance * (values - self.decode(self.round(values, trial), trial)) ** 2
            error = error.sum(axis=axis, keepdims=True)
            scales = tuple(np.where(error < least, t, s) for t, s in zip(trial, scales, strict=True))
            least = np.minimum(error, least)
        return tuple(np.broadcast_to(s, (len(values), 1)) for s in scales)
