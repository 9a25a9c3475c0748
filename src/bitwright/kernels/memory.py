"""The memory of sequences: keys and values in pages, and states of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import UnknownNameError, UsageError
from bitwright.kernels import _native

KV = ("f16", "bf16", "q8_0", "q4_0")  # formats of keys and values
PAGE = 64  # positions per page (attention.h: kKeyBlock)
UNLIMITED = 1 << 62  # bytes


class LayerShape(NamedTuple):
    """The keys and values of one layer; window 0: a token sees every position before it; latent: values of a key that
    are its value, 0 if values are kept too."""

    kv_heads: int
    head_dim: int
    window: int = 0
    latent: int = 0


class Memory:
    """Keys and values of `sequences` sequences of up to `context` positions, for steps of up to `batch` tokens.

    Positions lie in pages of 64, which a sequence acquires as it grows. Forked sequences share their full pages. Layers
    with a window keep the pages that a window and a batch can touch. `kv` is the format, one of KV; `states` are the
    floats that each sequence keeps for each recurrent layer. `room` is the most bytes that all sequences may take
    together (default: no limit); one of them may always fill its context. Raises UsageError for sizes out of range,
    BitwrightError if the system lacks the memory.
    """

    def __init__(
        self,
        layers: Sequence[LayerShape],
        context: int,
        sequences: int = 1,
        batch: int = 512,
        kv: str = "f16",
        states: Sequence[int] = (),
        room: int | None = None,
    ) -> None:
        if kv.lower() not in KV:
            raise UnknownNameError("key-value cache", kv, KV)
        self.context, self.sequences, self.batch, self.kv = context, sequences, batch, kv.lower()
        self.goes_back = not states  # at least by as many positions as a step has, less a page
        self.forgets = bool(states) or any(own.window for own in layers)  # cannot go back to every earlier position
        sizes = {"context": context, "sequences": sequences, "batch": batch}
        for name, size in sizes.items():
            if not 1 <= size < 1 << 31:
                raise UsageError(f"{name} must be at least 1 and at most {(1 << 31) - 1}, got {size}")
        self.room = UNLIMITED if room is None else room
        shapes, id = [tuple(own) for own in layers], _native.format_id(formats.get(self.kv))
        self.native = _native.core().Memory(shapes, list(states), batch, context, sequences, self.room, id)

    @property
    def lengths(self) -> list[int]:
        """The number of positions each sequence holds. A step may continue there, or anywhere from `earliest` on."""
        return list(self.native.lengths)

    @property
    def earliest(self) -> list[int]:
        """The lowest position, except 0, that each sequence may go back to: layers with a window forget, and a state
        can go nowhere but to its beginning."""
        return list(self.native.earliest)

    @property
    def bytes(self) -> int:
        """The most bytes of pages and states; the system provides each on first use."""
        return int(self.native.bytes)

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the pages held by any sequence, and of the states."""
        return int(self.native.bytes_in_use)

    def bytes_for(self, length: int) -> int:
        """The most bytes that the pages of a sequence of `length` positions take, if it shares none."""
        return int(self.native.bytes_for(length))

    def fork(self, source: int, target: int) -> None:
        """Make sequence `target` a copy of `source`. Pages are shared until one of the two writes into them."""
        self.native.fork(source, target)

    def drop(self, sequence: int, keep: int = 0) -> None:
        """Forget all but the first `keep` positions; UsageError below `earliest`."""
        self.native.drop(sequence, keep)

    def evict(self, sequence: int) -> None:
        """Forget a sequence and return unused pages to the system."""
        self.native.evict(sequence)

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """A sequence as bytes for `restore`, here or in a Memory of the same layers and format."""
        saved: NDArray[np.uint8] = self.native.save(sequence)
        return saved

    def restore(self, sequence: int, saved: NDArray[np.uint8]) -> None:
        """Set a sequence to the saved one. UsageError, without any change, if that is incomplete, has another layout or
        is longer than the context; BitwrightError, and the sequence is empty, if it takes more than `room` leaves."""
        self.native.restore(sequence, np.ascontiguousarray(saved))

    def adopt(self, other: Memory, sequence: int, begin: int, end: int) -> None:
        """Take the keys and values of positions `begin` to `end` of a sequence from another memory, as computed by
        other weights; the sequence then ends at `end`. Positions before `begin` stay. States are taken as they are
        after the other's last position, so with those `end` must be its length.

        UsageError if the two are not alike (layers, heads, format, context) or the positions are not there.
        """
        self.native.adopt(other.native, sequence, begin, end)
