"""Draws that give the same on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

NAMES = (
    "Anneke", "Bartosz", "Chiara", "Dmitri", "Esther", "Farid", "Greta", "Hamish", "Ines", "Jovana", "Kofi", "Leocadia",
    "Mirela", "Nils", "Oriol", "Petra", "Quentin", "Ragnhild", "Sipho", "Tamsin", "Ulrike", "Valentin", "Wanjiru",
    "Xenia", "Yusuf", "Zdenka",
)  # fmt: skip
PLACES = (
    "Ashgrove", "Brackwater", "Coldharbour", "Dunmarrow", "Elmsworth", "Farrowby", "Gullhaven", "Hexley", "Inverlae",
    "Juniper Cross", "Kestrel Point", "Lower Tarn", "Marlstone", "Netherfold", "Oxmoor", "Pennyquick", "Quarrygate",
    "Rushmere", "Saltney Bridge", "Thornwick",
)  # fmt: skip


class Draw:
    """A stream of draws that depends on `seed` alone. Only `random()` is used, whose values Python guarantees."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big"))

    def below(self, n: int) -> int:
        """0 to n - 1."""
        return int(self._random.random() * n)

    def between(self, low: int, high: int) -> int:
        """`low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def of(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]
