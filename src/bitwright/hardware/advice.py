"""Which row of a plan to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.hardware.catalogue import READING, USEFUL
from bitwright.hardware.plan import LEAST_CONTEXT, SHIPPED, STORED, Row

PREFERRED = (SHIPPED, STORED, *USEFUL)  # what exists is better than what is made of it
FOUR_BITS = 4.0  # bits per weight; below them a smaller model in more bits loses less


@dataclass(frozen=True)
class Advice:
    """row: the one to take; if nothing fits, the smallest. context: the one to run it with; 0 if nothing fits."""

    row: Row
    context: int

    @property
    def slow(self) -> bool:
        """Whether it decodes more slowly than people read."""
        speeds = self.row.forecast
        return speeds is not None and speeds.decode.tokens_per_second < READING

    @property
    def coarse(self) -> bool:
        """Whether it has so few bits that a smaller model is likely to be better."""
        return self.row.bits_per_weight < FOUR_BITS


def advice(rows: Sequence[Row]) -> Advice:
    """What to take of one device's rows: the first in PREFERRED that fits with headroom and decodes at reading speed;
    or else the fastest with headroom; what fits tightly or with a shorter context; the smallest."""
    found = sorted(rows, key=_rank)
    roomy = [row for row in found if row.fits and not row.tight]
    if quick := [row for row in roomy if row.forecast and row.forecast.decode.tokens_per_second >= READING]:
        return Advice(quick[0], quick[0].ask.context)
    if roomy:
        fastest = max(roomy, key=lambda row: row.forecast.decode.tokens_per_second if row.forecast else 0.0)
        return Advice(fastest, fastest.ask.context)
    for row in found:
        if row.tight:
            return Advice(row, row.roomy if row.roomy >= LEAST_CONTEXT else row.ask.context)
    for row in found:
        if row.longest >= LEAST_CONTEXT:
            return Advice(row, row.longest)
    return Advice(min(rows, key=lambda row: row.memory.total), 0)


def _rank(row: Row) -> tuple[int, float]:
    place = PREFERRED.index(row.recipe) if row.recipe in PREFERRED else len(PREFERRED)
    return place, -row.bits_per_weight
