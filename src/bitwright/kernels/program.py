"""A step compiled for the native executor: an immutable schedule over packed weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bitwright.errors import UnknownNameError
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels import _native
from bitwright.kernels.bank import WeightBank
from bitwright.kernels.memory import LayerShape
from bitwright.kernels.ops import Step
from bitwright.kernels.ops.attention import Attention
from bitwright.kernels.ops.experts import EXPERTS
from bitwright.kernels.ops.linear import PRODUCT
from bitwright.kernels.schedule import Instruction, Phase, Schedule

CUTS = 64  # parts whose schedules a program remembers; one takes about 14 kB per layer
ACTIVATIONS = ("int8", "ggml")  # how inputs of quantized weights are rounded: bitwright's way, llama.cpp's


class Program:
    """A step over weights. Sessions and threads may share one. An Executor runs it with a Memory.

    The bank packs the weights it does not hold yet. `activations` is one of ACTIVATIONS; with `observe` an executor
    sums the squares of every product's input. Raises BitwrightError if weights and step disagree.
    """

    def __init__(
        self,
        step: Step,
        weights: Mapping[str, QuantizedTensor],
        bank: WeightBank,
        activations: str = "int8",
        observe: bool = False,
        part_of: Program | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """With `part_of`, layers keep their numbers in that program, and one Memory serves both. `schedule`: of a
        program that differs only in the formats and values of weights."""
        if activations not in ACTIVATIONS:
            raise UnknownNameError("rounding of activations", activations, ACTIVATIONS)
        self.step, self.weights, self.bank = step, weights, bank
        self.activations, self.observe, self._part_of = activations, observe, part_of
        as_ggml = activations == "ggml"
        if schedule is None:
            schedule = Schedule(step, weights, lambda n: _ggml_rounding(weights[n].format) if as_ggml else 0, observe)
        self._schedule, self._cuts = schedule, dict[tuple[int, int | None], tuple[Step, Schedule]]()
        self.phases: tuple[Phase, ...] = tuple(schedule.phases)
        self.observed = [tuple(names) for names in schedule.observed.values()]
        whole = step if part_of is None else part_of.step
        caches = {op.layer: op for op in whole.ops if isinstance(op, Attention)}
        self.layers = tuple(
            LayerShape(op.kv_heads, op.head_dim, op.window or 0, op.latent or 0) for op in caches.values()
        )
        self._layer_numbers = {layer: number for number, layer in enumerate(caches)}
        stateful = [op for op in whole.ops if op.keeps_state]
        self.states = tuple(op.state_floats([weights[name].shape for name in op.weights]) for op in stateful)
        self._state_numbers = {op.state: number for number, op in enumerate(stateful)}
        self.native = _native.core().Program(bank.tier, [tuple(own) for own in self.layers], list(self.states))
        assert step.result is not None
        self.result = step.result
        self._build(schedule)

    @property
    def tier(self) -> str:
        """The CPU tier whose kernels run it."""
        return str(self.native.tier)

    def replace(self, tensors: Mapping[str, QuantizedTensor]) -> Program:
        """The same program with some tensors replaced; only those are packed, and nothing is copied."""
        weights, kept = {**self.weights, **tensors}, self._keeps_schedule(tensors)
        schedule = self._schedule if kept else None
        found = Program(self.step, weights, self.bank, self.activations, self.observe, self._part_of, schedule)
        found._cuts = self._cuts if kept else found._cuts
        return found

    def cut(
        self, begin: int = 0, end: int | None = None, tensors: Mapping[str, QuantizedTensor] | None = None
    ) -> Program:
        """Only the layers from `begin` up to `end`, over the same packed weights and for the same Memory; with some
        `tensors` replaced.

        It reads the input of layer `begin` (tokens, width) instead of token ids, unless `begin` is 0, and returns the
        input of layer `end` for every token, or the logits without an `end`. A cut step gives the same bits as an uncut
        one. UsageError if there is no such layer.
        """
        weights = {**self.weights, **tensors} if tensors else self.weights
        kept = self._keeps_schedule(tensors or {})
        step, schedule = (self._cuts.get((begin, end)) if kept else None) or (self.step.cut(begin, end, weights), None)
        part = Program(step, weights, self.bank, self.activations, part_of=self, schedule=schedule)
        if kept:
            self._cuts.pop((begin, end), None)
            self._cuts[begin, end] = step, part._schedule  # now the last to go
            for oldest in list(self._cuts)[:-CUTS]:
                self._cuts.pop(oldest, None)
        return part

    def headless(self) -> Program:
        """The program without its head, over the same packed weights: it returns the hidden state (outputs, width)
        after the final norm instead of logits."""
        return Program(self.step.headless(), self.weights, self.bank, self.activations, part_of=self)

    def _keeps_schedule(self, tensors: Mapping[str, QuantizedTensor]) -> bool:
        """Whether the schedule stays the same with some tensors replaced."""
        alike = all(name in self.weights and t.shape == self.weights[name].shape for name, t in tensors.items())
        return alike and self.activations == "int8"

    def _build(self, schedule: Schedule) -> None:
        native = self.native
        self._matrices, self._vectors = self._add_matrices(schedule), dict[str | int, int]()
        for width in schedule.buffers:
            native.buffer(width)
        for columns, slots in schedule.inputs:
            native.input(columns, slots)
        for experts, used in schedule.groups:
            native.groups(experts, used)
        for names in self.observed:
            *matrices, _, columns = self.weights[names[0]].shape
            native.squares(columns, *matrices or [1])
        for frequencies, magnitude, interleaved in schedule.angles:
            native.angles(np.frombuffer(frequencies, np.float32).tolist(), magnitude, interleaved)
        for phase in schedule.phases:
            native.phase(phase.kind, phase.selected)
            for instruction in phase.instructions:
                self._add(instruction)
        native.finish(schedule.result, self.result.selected)

    def _add_matrices(self, schedule: Schedule) -> dict[str, int]:
        """The number of every matrix in the native program (of the first of several), by name; the bank packs them all
        at once."""
        multiplied: dict[str, bool] = {}
        for phase in schedule.phases:
            for i in phase.instructions:
                if i.weight is not None and i.entry.weight == "matrix":
                    multiplied[i.weight] = multiplied.get(i.weight, False) or i.entry in (PRODUCT, EXPERTS)
        found = self.bank.matrices([self.weights[name] for name in multiplied], list(multiplied.values()))
        numbers = ([self.native.matrix(matrix) for matrix in own] for own in found)
        return {name: own[0] for name, own in zip(multiplied, numbers, strict=True)}

    def _add(self, i: Instruction) -> None:
        """Add one instruction; its layer or state and its weight become indices in the native program."""
        entry = i.entry
        values = {field: i.attributes[name] or 0 for name, field in entry.fields.items()}
        if "layer" in entry.fields:
            values["index"] = self._layer_numbers[i.attributes["layer"]]
        if "state" in entry.fields:
            values["index"] = self._state_numbers[i.attributes["state"]]
        if i.weight is None:
            if entry.weight == "ones":
                values["weight"] = self._ones(i.writes.width // i.attributes.get("heads", 1))
        elif entry.weight == "factor":
            values["value"] *= float(self.weights[i.weight].dequantize()[0])
        else:
            values["weight"] = self._matrices[i.weight] if entry.weight == "matrix" else self._vector(i)
        buffers = [value.place for value in i.reads if value.kind == "buffer"]
        values |= dict(zip(("a", "b", "c"), buffers, strict=False))
        for value in (*i.reads, i.writes):
            if value.kind in ("input", "groups"):
                values[value.kind] = value.place
        if i.writes.kind == "buffer":
            values["out"] = i.writes.place
            if entry.in_place == "required" and buffers[0] != i.writes.place:
                self.native.add("copy", out=i.writes.place, a=buffers[0])
        self.native.add(entry.code, **values)

    def _vector(self, i: Instruction) -> int:
        assert i.weight is not None
        if i.weight not in self._vectors:
            values = self.weights[i.weight].dequantize()
            if i.entry.weight == "columns":
                bias = [] if i.attributes["bias"] is None else [self.weights[i.attributes["bias"]].dequantize()]
                values = np.vstack([values.T, *bias])
            self._vectors[i.weight] = self.native.vector(np.ascontiguousarray(values, np.float32).reshape(-1))
        return self._vectors[i.weight]

    def _ones(self, width: int) -> int:
        if width not in self._vectors:
            self._vectors[width] = self.native.vector(np.ones(width, np.float32))
        return self._vectors[width]


def _ggml_rounding(format: Format) -> int:
    """The Rounding of tier.h that llama.cpp applies to the inputs of a weight (ggml-cpu.c: vec_dot_type)."""
    if format.ggml is None or format.block_size == 1:
        return 0  # floats: the inputs stay as they are
    return {"q4_1": 2, "q5_1": 2}.get(format.name, 3 if format.block_size == 256 else 1)
