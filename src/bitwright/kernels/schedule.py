"""Schedule a step's ops for the native executor: phases of instructions, and buffers that share memory.

Threads wait for one another only between phases. A phase is a chain of instructions that go row by row (each thread
runs the whole chain on its own rows), or matrix products that do not need one another (their rows are shared out
together), or one op over whole sequences (attention, or one with a state). An
instruction goes into the earliest phase of its kind after what it reads: q, k and v become one phase, gate and up
another, and residual add, norm and the conversion of the next input run together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.formats.tensor import Shaped
from bitwright.kernels.ops.attention import STORE
from bitwright.kernels.ops.declaration import Buffer
from bitwright.kernels.ops.experts import LOAD_EXPERTS, OBSERVE_EXPERTS
from bitwright.kernels.ops.linear import LOAD, OBSERVE
from bitwright.kernels.ops.native import Entry, PhaseKind, Place, Value
from bitwright.kernels.ops.rope import ANGLES
from bitwright.kernels.ops.route import GROUP
from bitwright.kernels.ops.step import Step, widths

Source: TypeAlias = tuple[int, int | None]  # what products read: the ids of a buffer, and of the choices for experts


@dataclass(slots=True, eq=False)
class Instruction:
    """One native instruction: its entry, the values it reads and writes, its weight, and the op's attributes."""

    entry: Entry
    reads: tuple[Value, ...]
    writes: Value
    weight: str | None
    attributes: dict[str, Any]

    @property
    def code(self) -> str:
        """The instruction's name in the executor."""
        return self.entry.code


@dataclass(slots=True)
class Phase:
    """Instructions that threads run without waiting for one another."""

    kind: PhaseKind
    selected: bool
    instructions: list[Instruction] = field(default_factory=list)


class Schedule:
    """`phases`; the widths of native `buffers`; columns and slots of `inputs`; experts and slots of `groups`; `angles`
    tables; `result`: the buffer of the logits."""

    def __init__(
        self,
        step: Step,
        weights: Mapping[str, Shaped],
        rounding: Callable[[str], int] = lambda weight: 0,
        observe: bool = False,
    ) -> None:
        """`rounding` gives how a weight's inputs become int8, a number of tier.h's Rounding. With `observe`, the
        program also sums the squares of each product's input: `observed` lists the weights that share an input, in the
        order of the native sums. Raises BitwrightError if the shapes of weights and ops disagree."""
        self.phases: list[Phase] = []
        self.angles: dict[tuple[bytes, float, bool], Value] = {}
        self._weights, self._rounding, self._observe = weights, rounding, observe
        self.observed: dict[Source, list[str]] = {}  # the weights that multiply it
        self._inputs: dict[tuple[Source, int], Value] = {}  # source, rounding -> its conversion
        self._groups: dict[int, Value] = {}  # by the id of the choices
        self._caches: dict[int, Value] = {}  # by the layer
        values: list[Value] = []
        for op, width in zip(step.ops, widths(step, weights), strict=True):
            self._selected = op.output.selected
            values.append(op.lower(self, [values[b.id] for b in op.inputs], width))
        assert step.result is not None
        result = values[step.result.id]
        result.last_read = len(self.phases)
        sizes = self._place(result)
        self.buffers = [width for width, _ in sizes["buffer"]]
        self.inputs, self.groups = sizes["input"], sizes["groups"]
        self.result = result.place

    def converted(self, x: Buffer, value: Value, weight: str) -> Value:
        """`value` of buffer `x` as products with `weight` read it, observed if the schedule observes."""
        return self._converted((x.id, None), weight, OBSERVE, [value], LOAD, [value], value.width)

    def group(self, choices: Buffer, value: Value, experts: int) -> None:
        """Order the slots of these choices among so many experts."""
        self._groups[choices.id] = self.emit(GROUP, [value], experts, slots=value.width // 2)

    def sent(self, x: Buffer, choices: Buffer, values: Sequence[Value], weight: str) -> list[Value]:
        """The inputs of slots as products with the experts of `weight` read them, and their groups."""
        groups, (experts, _, columns) = self._groups.get(choices.id), self._weights[weight].shape
        if groups is None or groups.width != experts:
            raise UsageError(f"experts({weight}): expected choices among {experts} experts, made by `route`")
        reads, source = [*values, groups], (x.id, choices.id)
        return [self._converted(source, weight, OBSERVE_EXPERTS, values, LOAD_EXPERTS, reads, columns), groups]

    def _converted(
        self,
        source: Source,
        weight: str,
        observe: Entry,
        observed: Sequence[Value],
        load: Entry,
        reads: Sequence[Value],
        columns: int,
    ) -> Value:
        if self._observe:
            if source not in self.observed:
                self.emit(observe, observed, index=len(self.observed))
            self.observed.setdefault(source, []).append(weight)
        key = source, self._rounding(weight)
        if key not in self._inputs:
            self._inputs[key] = self.emit(load, reads, columns, slots=reads[-1].slots, index=key[1])
        return self._inputs[key]

    def cache(self, layer: int, reads: Sequence[Value]) -> Value:
        """The cache of a layer with these keys and values in it."""
        if layer not in self._caches:
            self._caches[layer] = self.emit(STORE, reads, layer=layer)
        return self._caches[layer]

    def angle_table(
        self, inverse_frequencies: NDArray[np.float32], magnitude: float, interleaved: bool
    ) -> tuple[Value, int]:
        """The table for these frequencies, and its number."""
        key = inverse_frequencies.tobytes(), magnitude, interleaved
        if key not in self.angles:
            self.angles[key] = self.emit(ANGLES, [], index=len(self.angles))
        return self.angles[key], list(self.angles).index(key)

    def emit(
        self,
        entry: Entry,
        reads: Sequence[Value],
        width: int = 0,
        weight: str | None = None,
        slots: int = 1,
        **attributes: Any,
    ) -> Value:
        """Put one instruction of the current op into the earliest phase it can run in; returns its output."""
        want, selected, at = entry.phase, self._selected, 0
        for value in reads:  # rows of one chain may follow each other in a phase; all else waits for its end
            source = self.phases[value.phase]
            at = max(at, value.phase + (want != "rows" or source.kind != "rows" or source.selected != selected))
        while at < len(self.phases) and (
            want in ("attention", "states") or self.phases[at].kind != want or self.phases[at].selected != selected
        ):
            at += 1
        if at == len(self.phases):
            self.phases.append(Phase(want, selected))
        for value in reads:
            value.last_read = max(value.last_read, at)
        written = Value(entry.writes, width, at, slots)
        self.phases[at].instructions.append(Instruction(entry, tuple(reads), written, weight, attributes))
        return written

    def _place(self, result: Value) -> dict[Place, list[tuple[int, int]]]:
        """Give every value a place; values of one size that are never alive in the same phase share one. Not the
        result, which the caller owns, nor groups, by which a late thread sees that a phase's work is done. Returns the
        width and slots of every place."""
        sizes: dict[Place, list[tuple[int, int]]] = {place: [] for place in get_args(Place)}
        free_after: dict[tuple[Place, int, int], list[tuple[int, int]]] = {}  # (last phase used, place)
        chains = self._chains()
        for chain in chains:
            first, last = chain[0], max(v.last_read for v in chain)
            known = free_after.setdefault((first.kind, first.width, first.slots), [])
            shares = result not in chain and first.kind != "groups"
            reusable = [entry for entry in known if entry[0] < first.phase and shares]
            if reusable:
                known.remove(reusable[0])
                place = reusable[0][1]
            else:
                place = len(sizes[first.kind])
                sizes[first.kind].append((first.width, first.slots))
            if shares:
                known.append((last, place))
            for value in chain:
                value.place = place
        return sizes

    def _chains(self) -> list[list[Value]]:
        """Values grouped by the in-place instructions that join them, in the order of their first phases."""
        order = [i for phase in self.phases for i in phase.instructions]
        last_reader = {id(value): i for i in order for value in i.reads}
        chain_of: dict[int, list[Value]] = {}
        chains = []
        for i in order:
            chain: list[Value] | None = None
            if i.entry.in_place != "never":
                for value in i.reads:
                    if value.kind == "buffer" and value.width == i.writes.width and last_reader[id(value)] is i:
                        chain = chain_of[id(value)]
                        break
            if chain is None:
                chain = []
                chains.append(chain)
            chain.append(i.writes)
            chain_of[id(i.writes)] = chain
        return chains
