"""What this machine has room for when models run: the longest text, and the memory that all texts together may take."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bitwright.engine.engine import DEFAULT_CONTEXT
from bitwright.hardware import detect
from bitwright.hardware.kv import kv_bytes

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine

LEFT = 8  # one part in so many of the memory available is left free for buffers, Python and other programs
STEP = 1024  # tokens, of which a chosen context is a multiple unless it is all that a model was trained on


@dataclass(frozen=True)
class Room:
    """Models that run together, such as one and its draft. sequences: how many texts the memory of each is for. bytes:
    of memory for their texts; None if the system does not say."""

    engines: Sequence[Engine]
    sequences: Sequence[int]
    bytes: int | None

    @classmethod
    def here(cls, engines: Sequence[Engine], sequences: Sequence[int]) -> Room:
        """The room on this machine: the memory available now, without the models' weights and the part that is left
        free. Weights larger than all of it are read from the disk (hardware.paging); texts then take that part."""
        available, weights = detect.available(), sum(engine.weights for engine in engines)
        if available is None:
            return cls(engines, sequences, None)
        left = available // LEFT
        return cls(engines, sequences, left if weights > available else max(available - left - weights, 0))

    def needed(self, context: int) -> list[int]:
        """Bytes that each model takes for a single text of `context` tokens, and for the states of all."""

        def bytes(engine: Engine, tokens: int, sequences: int) -> int:
            return kv_bytes(engine.config, tokens, engine.options.kv, sequences, engine="bitwright")

        parts = zip(self.engines, self.sequences, strict=True)
        return [bytes(engine, context, 1) + bytes(engine, 0, sequences - 1) for engine, sequences in parts]

    def longest(self) -> int:
        """The longest context that there is room for, up to what the models were trained on (Model.natural_context: of
        more, short texts pay for long ones, and that is for the user to choose). Where there is little memory,
        DEFAULT_CONTEXT, as ever: pages are only allocated once a text needs them."""
        most = min(engine.model.natural_context for engine in self.engines)
        if self.bytes is None or most <= DEFAULT_CONTEXT:
            return min(most, DEFAULT_CONTEXT)
        if sum(self.needed(most)) <= self.bytes:
            return most
        steps = bisect_right(range(most // STEP + 1), self.bytes, key=lambda n: sum(self.needed(n * STEP))) - 1
        return max(steps * STEP, DEFAULT_CONTEXT)

    def divided(self, context: int) -> list[Engine]:
        """The models with this context, and with the room shared out by what a text of that length takes. Each has room
        for one such text."""
        needed = self.needed(context)
        rooms = [None if self.bytes is None else max(own, self.bytes * own // sum(needed)) for own in needed]
        return [engine.replace(context=context, room=room) for engine, room in zip(self.engines, rooms, strict=True)]
