"""From a step's ops to what the native executor runs: phases of instructions, and buffers that share memory.

Threads wait for one another between phases only. A phase is a chain of instructions that go row by row (each thread
takes the whole chain for its own rows), or matrix products that do not need one another (their rows are shared out
together), or one attention. An instruction goes into the earliest phase of its kind after what it reads: q, k and v
become one phase, gate and up another, and residual add, norm and the conversion of the next input run together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitwright.kernels.ops import HasShape, Op, Step, widths

# May write over an operand of theirs that nothing reads later; the first three know no other way.
IN_PLACE = ("rope", "scale", "softcap", "rms_norm", "bias", "glu_silu", "glu_gelu_tanh", "add")
ONLY_IN_PLACE = IN_PLACE[:3]


@dataclass(slots=True, eq=False)
class Value:
    """What one instruction writes: a "buffer" of floats, an "input" (floats converted for products), or "other" (a
    table of angles, a layer's cache), which is only waited for. `place` is the native buffer or input it lives in."""

    kind: str
    width: int
    phase: int
    last_read: int = -1  # the phase
    place: int = -1


@dataclass(slots=True, eq=False)
class Instruction:
    code: str
    reads: tuple[Value, ...]
    writes: Value
    weight: str | None
    attributes: dict[str, Any]


@dataclass(slots=True)
class Phase:
    kind: str  # "rows", "linears", "attention" or "observe"
    selected: bool
    instructions: list[Instruction] = field(default_factory=list)


class Plan:
    """`phases`; the widths of native `buffers` and `inputs`; `angles` tables; `result`: the buffer of the logits."""

    def __init__(
        self,
        step: Step,
        weights: Mapping[str, HasShape],
        rounding: Callable[[str], int] = lambda weight: 0,
        observe: bool = False,
    ) -> None:
        """`rounding` says how the inputs of a weight become int8: a number of tier.h's Rounding. With `observe`, every
        input of a product is also added up: `observed` says which weights share it, in the order of the native sums.
        Raises BitwrightError where the shapes of weights and ops disagree."""
        self.phases: list[Phase] = []
        self.angles: dict[tuple[bytes, float, bool], Value] = {}
        self._widths = widths(step, weights)
        self._rounding, self._observe = rounding, observe
        self.observed: dict[int, list[str]] = {}  # id of a buffer -> the weights that multiply it
        self._inputs: dict[tuple[int, int], Value] = {}  # id of a buffer, rounding -> its conversion
        self._values: list[Value] = []
        for op in step.ops:
            self._values.append(self._lower(op, [self._values[b.id] for b in op.inputs]))
        assert step.result is not None
        result = self._values[step.result.id]
        result.last_read = len(self.phases)
        self.buffers, self.inputs = self._place(result)
        self.result = result.place

    def _lower(self, op: Op, reads: list[Value]) -> Value:
        """Emits the instructions of one op and returns the value of its output."""
        a, width, selected = dict(op.attributes), self._widths[op.output.id], op.output.selected
        weight = op.weights[0] if op.weights else None
        if op.kind == "linear":
            rounding = self._rounding(op.weights[0])
            key = op.inputs[0].id, rounding
            if self._observe:
                if key[0] not in self.observed:
                    self._emit("observe", reads, 0, selected, kind="other", index=len(self.observed))
                self.observed.setdefault(key[0], []).append(op.weights[0])
            if key not in self._inputs:
                self._inputs[key] = self._emit("load", reads, reads[0].width, selected, kind="input", index=rounding)
            y = self._emit("linear", [self._inputs[key]], width, selected, weight)
            return self._emit("bias", [y], width, selected, op.weights[1]) if len(op.weights) > 1 else y
        if op.kind == "attention":
            cache = self._emit("store", reads[1:], 0, selected, kind="other", **a)
            return self._emit("attention", [reads[0], cache], width, selected, **a)
        if op.kind == "rope":
            table = a.pop("inverse_frequencies").tobytes(), a.pop("magnitude"), a.pop("interleaved")
            if table not in self.angles:
                self.angles[table] = self._emit("angles", [], 0, False, kind="other", index=len(self.angles))
            index = list(self.angles).index(table)
            return self._emit("rope", [*reads, self.angles[table]], width, selected, index=index, **a)
        code = f"glu_{a.pop('activation')}" if op.kind == "glu" else op.kind
        return self._emit(code, reads, width, selected, weight, **a)

    def _emit(
        self,
        code: str,
        reads: list[Value],
        width: int,
        selected: bool,
        weight: str | None = None,
        kind: str = "buffer",
        **attributes: Any,
    ) -> Value:
        """Puts one instruction into the earliest phase it can run in, and returns what it writes."""
        want = {"linear": "linears", "attention": "attention", "observe": "observe"}.get(code, "rows")
        at = 0
        for value in reads:  # rows of one chain may follow each other in a phase; all else waits for the phase's end
            source = self.phases[value.phase]
            at = max(at, value.phase + (want != "rows" or source.kind != "rows" or source.selected != selected))
        while at < len(self.phases) and (
            want == "attention" or self.phases[at].kind != want or self.phases[at].selected != selected
        ):
            at += 1
        if at == len(self.phases):
            self.phases.append(Phase(want, selected))
        for value in reads:
            value.last_read = max(value.last_read, at)
        written = Value(kind, width, at)
        self.phases[at].instructions.append(Instruction(code, tuple(reads), written, weight, attributes))
        return written

    def _place(self, result: Value) -> tuple[list[int], list[int]]:
        """Gives every value a place; values of one width that are never alive in the same phase share theirs."""
        sizes: dict[str, list[int]] = {"buffer": [], "input": [], "other": []}
        free_after: dict[tuple[str, int], list[tuple[int, int]]] = {}  # (kind, width): (last phase used, place)
        chains = self._chains()
        for chain in chains:
            first, last = chain[0], max(v.last_read for v in chain)
            known = free_after.setdefault((first.kind, first.width), [])
            reusable = [entry for entry in known if entry[0] < first.phase and result not in chain]
            if reusable:
                known.remove(reusable[0])
                place = reusable[0][1]
            else:
                place = len(sizes[first.kind])
                sizes[first.kind].append(first.width)
            if result not in chain:
                known.append((last, place))
            for value in chain:
                value.place = place
        return sizes["buffer"], sizes["input"]

    def _chains(self) -> list[list[Value]]:
        """Values grouped by the in-place instructions that join them, in the order of their first phases."""
        order = [i for phase in self.phases for i in phase.instructions]
        last_reader = {id(value): i for i in order for value in i.reads}
        chain_of: dict[int, list[Value]] = {}
        chains = []
        for i in order:
            chain: list[Value] | None = None
            if i.code in IN_PLACE:
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
