"""An op's native instructions, each of a kind that the op declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bitwright.kernels.ops.declaration import Buffer

PhaseKind = Literal["rows", "linears", "attention", "states", "observe", "group"]
Place = Literal["buffer", "input", "groups", "other"]


@dataclass(frozen=True, eq=False)
class Entry:
    """One kind of native instruction.

    `code` is its name in the executor. `fields` maps attributes to the fields of a native instruction that hold them.
    `phase` is the kind of phase it runs in. `in_place`: whether it may, or must, overwrite an operand that nothing
    reads later. `weight`: how it takes its weight, packed as a matrix, as float32 values row by row, or ones if it has
    none, or column by column and then those of the attribute `bias`, or as one number that its `value` is multiplied
    by. `writes`: see `Value`.
    """

    code: str
    fields: Mapping[str, str] = field(default_factory=dict)
    phase: PhaseKind = "rows"
    in_place: Literal["never", "allowed", "required"] = "never"
    weight: Literal["matrix", "vector", "columns", "ones", "factor"] | None = None
    writes: Place = "buffer"


@dataclass(slots=True, eq=False)
class Value:
    """What one instruction writes: a "buffer" of floats, an "input" (floats converted for matrix products), "groups"
    (the slots of `width` experts), or "other" (a table of angles, a layer's cache), which later instructions only wait
    for. An input has `slots` rows for each row of the step, and so have groups. `phase` writes it, `last_read` is the
    last phase that reads it, and `place` is the native buffer, input or groups that holds it."""

    kind: Place
    width: int
    phase: int
    slots: int = 1
    last_read: int = -1
    place: int = -1


class Lowering(Protocol):
    """Receives an op's instructions."""

    def emit(
        self,
        entry: Entry,
        reads: Sequence[Value],
        width: int = 0,
        weight: str | None = None,
        slots: int = 1,
        **attributes: Any,
    ) -> Value:
        """Add one instruction and return what it writes."""

    def converted(self, x: Buffer, value: Value, weight: str) -> Value:
        """`value` of buffer `x` as products with `weight` read it; converted once for all weights that share it."""

    def group(self, choices: Buffer, value: Value, experts: int) -> None:
        """Order the slots of these choices among so many experts."""

    def sent(self, x: Buffer, choices: Buffer, values: Sequence[Value], weight: str) -> list[Value]:
        """The `values` of x and choices as products with the experts of `weight` read them: the slots' inputs,
        converted once for all weights that share them, and their groups."""

    def cache(self, layer: int, reads: Sequence[Value]) -> Value:
        """The cache of a layer with these keys and values in it, stored once for all ops that share it."""

    def angle_table(
        self, inverse_frequencies: NDArray[np.float32], magnitude: float, interleaved: bool
    ) -> tuple[Value, int]:
        """The cosines and sines of the call's positions, made once for all ops that share them, and their number."""
