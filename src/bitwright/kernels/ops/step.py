"""A step: what a model computes from a batch of tokens, as a flat list of ops.

`kernels.Program` compiles the list for the native executor; `kernels.Oracle` runs the same list in NumPy. Every buffer
is a float32 matrix (tokens, width); after `select` it has only the rows whose logits are requested. Weights have their
GGUF names.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Concatenate, ParamSpec

from bitwright.errors import BitwrightError, UsageError
from bitwright.formats.tensor import Shaped
from bitwright.kernels.ops.attention import Attention
from bitwright.kernels.ops.convolution import Convolution
from bitwright.kernels.ops.declaration import Buffer, Op
from bitwright.kernels.ops.delta_rule import Decay, DeltaRule
from bitwright.kernels.ops.elementwise import Add, Columns, Glu, Join, Scale, Select, Softcap, Temperature
from bitwright.kernels.ops.experts import Combine, Experts, Gate
from bitwright.kernels.ops.linear import Embed, Hidden, Linear
from bitwright.kernels.ops.norm import RmsNorm
from bitwright.kernels.ops.rope import Rope
from bitwright.kernels.ops.route import Every, Reweigh, Route
from bitwright.kernels.ops.scan import Scan

P = ParamSpec("P")


def _method(op: Callable[P, Op]) -> Callable[Concatenate[Step, P], Buffer]:
    """The method of `Step` for an op: it takes the op's fields."""

    def method(self: Step, /, *args: P.args, **kwargs: P.kwargs) -> Buffer:
        return self.append(op(*args, **kwargs))

    method.__doc__ = op.__doc__
    return method


class Step:
    """Records one step of a model. The method of each op appends it and returns the buffer that it writes."""

    embed = _method(Embed)
    rms_norm = _method(RmsNorm)
    linear = _method(Linear)
    rope = _method(Rope)
    attention = _method(Attention)
    glu = _method(Glu)
    add = _method(Add)
    scale = _method(Scale)
    softcap = _method(Softcap)
    temperature = _method(Temperature)
    columns = _method(Columns)
    join = _method(Join)
    select = _method(Select)
    hidden = _method(Hidden)
    route = _method(Route)
    every = _method(Every)
    reweigh = _method(Reweigh)
    experts = _method(Experts)
    combine = _method(Combine)
    gate = _method(Gate)
    convolution = _method(Convolution)
    decay = _method(Decay)
    delta_rule = _method(DeltaRule)
    scan = _method(Scan)

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.result: Buffer | None = None
        self.caches: dict[int, Attention] = {}  # by the layer, the op that stores its keys and values
        self.states: set[tuple[str, int]] = set()  # the kinds and layers of ops that keep one
        self.borders: list[Buffer] = []  # the input of each layer

    def append(self, op: Op) -> Buffer:
        """Append an op; UsageError if its inputs are selected already, or its layer's cache holds other keys and
        values."""
        selected = any(b.selected for b in op.inputs)
        if op.selects and selected:
            raise UsageError(f"{op.kind}: these rows were selected already")
        if isinstance(op, Attention):
            first = self.caches.setdefault(op.layer, op)
            if first.cached != op.cached:
                raise UsageError(f"{op.kind}: layer {op.layer} has a cache already, of other keys and values")
            op.stores = first is op
        if op.keeps_state:
            if op.state in self.states:
                raise UsageError(f"{op.kind}: layer {op.state[1]} has one already")
            self.states.add(op.state)
        op.output = Buffer(len(self.ops), op.selects or selected)
        self.ops.append(op)
        return op.output

    def begin_layer(self, x: Buffer) -> None:
        """Mark x as the input of the next layer. Of the buffers before it, later ops read few others (`crossing`)."""
        self.borders.append(x)

    def crossing(self, layer: int) -> list[Buffer]:
        """The buffers from before a layer that its ops or later ones read, its input last."""
        at = self.borders[layer].id
        return sorted({b for op in self.ops[at + 1 :] for b in op.inputs if b.id <= at}, key=lambda b: b.id)

    def cut(self, begin: int, end: int | None, weights: Mapping[str, Shaped]) -> Step:
        """Only the layers from `begin` up to `end`; see Program.cut. Where several buffers cross a border, the hidden
        state there is all of them, next to each other. UsageError if there is no such layer."""
        count = len(self.borders)
        last = count if end is None else end
        if not 0 <= begin < last <= count or (end is not None and last == count):
            raise UsageError(f"expected layers 0 <= begin < end < {count}, got {begin} and {end}")
        part, first = Step(), 0
        known: dict[int, Buffer] = {}
        if begin:
            first = self.borders[begin].id + 1
            known = part._begin([b.id for b in self.crossing(begin)], widths(self, weights))
        for op in self.ops[first:] if end is None else self.ops[first : self.borders[end].id + 1]:
            known[op.output.id] = part.append(op.reading(known))
        if end is None:
            assert self.result is not None
            part.result = known[self.result.id]
        else:
            part.result = functools.reduce(part.join, [known[b.id] for b in self.crossing(end)])
        return part

    def headless(self) -> Step:
        """The step without its head, the last product: the result is what that multiplies, the hidden state (outputs,
        width) after the final norm."""
        head = [op for op in self.ops if op.multiplies][-1]
        part, known = Step(), dict[int, Buffer]()
        for op in self.ops[: head.output.id]:
            known[op.output.id] = part.append(op.reading(known))
        part.result = known[head.inputs[0].id]
        return part

    def _begin(self, ids: Sequence[int], widths: Sequence[int]) -> dict[int, Buffer]:
        """Read these buffers of another step from the hidden state; `widths` are that step's."""
        ends = list(itertools.accumulate(widths[id] for id in ids))
        x = self.hidden(ends[-1])
        if len(ids) == 1:
            return {ids[0]: x}
        return {id: self.columns(x, end - widths[id], widths[id]) for id, end in zip(ids, ends, strict=True)}

    def logits(self, x: Buffer) -> None:
        """Mark x (outputs, vocabulary) as the step's result."""
        if self.result is not None:
            raise UsageError("logits: the step has its result already")
        if not x.selected:
            raise UsageError("logits: apply `select` before the head, so that it computes only the requested rows")
        self.result = x


def widths(step: Step, weights: Mapping[str, Shaped]) -> list[int]:
    """The width of every buffer by its id, checking each op's shapes; BitwrightError names the op that disagrees."""
    result: list[int] = []
    for op in step.ops:
        for name in op.weights:
            if name not in weights:
                raise BitwrightError(f"{op}: the model has no tensor {name!r}")
        inputs, shapes = [result[b.id] for b in op.inputs], [weights[name].shape for name in op.weights]
        for what, expected, got in op.checks(inputs, shapes):
            if expected != got:
                raise BitwrightError(f"{op}: {what} should be {expected}, got {got}")
        result.append(op.width(inputs, shapes))
    if step.result is None:
        raise UsageError("the step has no result: call logits")
    return result
