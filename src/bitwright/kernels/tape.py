"""A step over one whole text in NumPy, and back: the gradient at the output of every op.

The ops are cut wherever a single buffer is all that later ops read (the residual stream, twice a layer). Forward, that
buffer is kept for every part, and what lies between while it fits `memory`; backward, the other parts are run again.
So memory holds one part of a model, and weights are asked for as they are needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bitwright.kernels.gradients import Array, Differentiable
from bitwright.kernels.ops import Buffer, Op, Step
from bitwright.kernels.sharing import Sharing

Values = dict[int, Array]  # by the id of a buffer
Weight = Callable[[str, Array | None], Array]  # a weight by name, or some of its rows
Visit = Callable[[Op, list[Array], Array | None], None]  # an op, its inputs, the gradient of its output

LOGITS = 1 << 24  # values at a time, however large the vocabulary
ROWS = 32  # a thread's share is no less
ROW_BY_ROW = {"rms_norm", "linear", "glu", "add", "scale", "softcap"}


def missing(step: Step) -> list[str]:
    """The kinds of ops in a step that have no vector-Jacobian product."""
    kinds = {op.kind for op in step.ops} - {"embed"}
    return sorted(kind for kind in kinds if not hasattr(Differentiable, f"_{kind}_back"))


class Tape(Differentiable):
    """Runs `step` forward over the tokens of a text, its positions counted from 0, and backward.

    `weight(name, rows)` gives a weight as floats, whole where `rows` is None. `memory`: bytes of values to keep.
    `sharing`: the threads.
    """

    def __init__(
        self,
        step: Step,
        weight: Weight,
        dtype: DTypeLike = np.float32,
        memory: int = 1 << 30,
        sharing: Sharing | None = None,
    ) -> None:
        self.step, self.weight, self.dtype, self.memory = step, weight, dtype, memory
        self.sharing = sharing or Sharing()
        self.parts = parts(step)
        self._flows: list[Values] = []
        self._kept: dict[int, Values] = {}
        self._held: tuple[tuple[Op, ...], dict[str, Array]] = ((), {})  # the weights of the part at work

    def observe(self, tokens: ArrayLike, visit: Visit) -> None:
        """Forward only, without logits: visit(op, inputs, None) for every op up to the last product."""
        self._start(tokens)
        last = max(op.output.id for op in self.step.ops if op.kind == "linear")
        flow: Values = {}
        for ops in self.parts:
            for op in ops:
                visit(op, [flow[b.id] for b in op.inputs], None)
                if op.output.id == last:
                    return
                flow[op.output.id] = self._value(op, ops, flow)
            flow = {ops[-1].output.id: flow[ops[-1].output.id]}

    def logits(self, tokens: ArrayLike) -> Iterator[tuple[slice, Array]]:
        """Forward; the logits after every token, some rows at a time: which, and (rows, vocabulary)."""
        self._forward(tokens)
        for rows, values in self._last():
            yield rows, values[self._result.id]

    def gradients(
        self, tokens: ArrayLike, of_logits: Callable[[slice, Array], Array], visit: Visit, until: int = 0
    ) -> None:
        """Forward, then visit(op, inputs, gradient) for the ops from the last to the first of part `until`.

        of_logits(rows, logits), called for all rows in some order, is the gradient of what is differentiated with
        respect to the logits (rows, vocabulary).
        Ops that are nothing but row by row, at the end, are visited with some rows at a time.
        """
        self._forward(tokens)
        arrived = []
        for rows, values in self._last():
            logits = values[self._result.id]

            def of(part: slice, rows: slice = rows, logits: Array = logits) -> Array:
                return of_logits(slice(rows.start + part.start, rows.start + part.stop), logits[part])

            gradient = np.concatenate(self.sharing.map(of, len(logits), ROWS))
            arrived.append(self._back(self.parts[-1], values, gradient, visit))
        for index in range(len(self.parts) - 2, until - 1, -1):
            gradient = np.concatenate(arrived)
            values = self._kept.pop(index, {}) or self._play(self.parts[index], self._flows[index])
            arrived = [self._back(self.parts[index], values, gradient, visit)]

    def _start(self, tokens: ArrayLike) -> None:
        self.tokens = np.asarray(tokens)
        self.positions = np.arange(len(self.tokens))
        self.outputs = np.arange(len(self.tokens), dtype=np.intp)

    def _forward(self, tokens: ArrayLike) -> None:
        """Every part but the last: `_flows` are their inputs, the last one's too, `_kept` what fitted by part."""
        self._start(tokens)
        self._flows, self._kept, room = [{}], {}, self.memory
        for index, ops in enumerate(self.parts[:-1]):
            values = self._play(ops, self._flows[-1])
            size = sum(values[op.output.id].nbytes for op in ops)
            if size <= room:
                self._kept[index] = values
                room -= size
            self._flows.append({ops[-1].output.id: values[ops[-1].output.id]})

    def _last(self) -> Iterator[tuple[slice, Values]]:
        """The values of the last part, whole or, where each row is on its own, some rows at a time."""
        ops, flow, n = self.parts[-1], self._flows[-1], len(self.tokens)
        width = max((len(weight) for op in ops for weight in self._weights(op, ops)), default=1)
        step = max(1, LOGITS // width) if {op.kind for op in ops} <= ROW_BY_ROW else n
        for start in range(0, n, step):
            rows = slice(start, min(n, start + step))
            yield rows, self._play(ops, {id: values[rows] for id, values in flow.items()})

    def _play(self, ops: tuple[Op, ...], flow: Values) -> Values:
        values = dict(flow)
        for op in ops:
            values[op.output.id] = self._value(op, ops, values)
        return values

    def _value(self, op: Op, ops: tuple[Op, ...], values: Values) -> Array:
        inputs = [values[b.id] for b in op.inputs]
        return self._shared(op, f"_{op.kind}", inputs, self._weights(op, ops))[0].astype(self.dtype, copy=False)

    def _shared(self, op: Op, name: str, arrays: list[Array], weights: list[Array]) -> list[Array]:
        """The results of the method `name` on these: every thread does some rows, or some heads of attention."""
        by_head, least, count = op.kind == "attention", ROWS, len(arrays[0]) if arrays else 0
        if by_head:
            least, count = 1, op.attributes["kv_heads"]
        elif op.kind not in ROW_BY_ROW | {"rope"}:
            least = count or 1  # in one piece

        def work(part: slice) -> tuple[Array, ...]:
            own, a, mine = copy.copy(self), op.attributes, arrays
            if by_head:
                heads = part.stop - part.start
                a = {**a, "kv_heads": heads, "heads": a["heads"] // count * heads}
                mine = [_columns(x, part, count) for x in arrays]
            elif count and least != count:
                own.positions = self.positions[part]
                mine = [x[part] for x in arrays]
            with np.errstate(over="ignore"):  # the exponential of a sigmoid far below zero, which is then zero
                result = getattr(own, name)(a, *mine, *weights)
            return result if isinstance(result, tuple) else (result,)

        done = self.sharing.map(work, count, least)
        if len(done) == 1:
            return list(done[0])
        return [np.concatenate(pieces, axis=1 if by_head else 0) for pieces in zip(*done, strict=True)]

    def _back(self, ops: tuple[Op, ...], values: Values, gradient: Array, visit: Visit) -> Array:
        """From the gradient of what the part gives to that of what it takes; the first takes tokens: an empty one."""
        gradients = {ops[-1].output.id: gradient}
        for op in reversed(ops):
            own = gradients.pop(op.output.id).astype(self.dtype, copy=False)
            inputs = [values[b.id] for b in op.inputs]
            visit(op, inputs, own)
            if not inputs:
                continue
            back = self._shared(op, f"_{op.kind}_back", [own, *inputs], self._weights(op, ops))
            for buffer, part in zip(op.inputs, back, strict=True):
                known = gradients.get(buffer.id)
                gradients[buffer.id] = part if known is None else known + part
        return next(iter(gradients.values()), np.empty(0, self.dtype))

    def _weights(self, op: Op, ops: tuple[Op, ...]) -> list[Array]:
        if self._held[0] is not ops:
            self._held = (ops, {})
        if op.kind == "embed":
            return [self.weight(op.weights[0], self.tokens).astype(self.dtype, copy=False)]
        for name in op.weights:
            if name not in self._held[1]:
                self._held[1][name] = self.weight(name, None).astype(self.dtype, copy=False)
        return [self._held[1][name] for name in op.weights]

    @property
    def _result(self) -> Buffer:
        assert self.step.result is not None
        return self.step.result


def parts(step: Step) -> list[tuple[Op, ...]]:
    """The ops of a step, cut after each whose output is all that later ops read."""
    last = {b.id: index for index, op in enumerate(step.ops) for b in op.inputs}
    found, start, needed = [], 0, -1
    for index, op in enumerate(step.ops):
        if needed <= index and index + 1 < len(step.ops):
            found.append(tuple(step.ops[start : index + 1]))
            start = index + 1
        needed = max(needed, last.get(op.output.id, -1))
    return [*found, tuple(step.ops[start:])]


def _columns(x: Array, part: slice, count: int) -> Array:
    """Those of `part` of `count` heads."""
    width = x.shape[1] // count
    return x[:, part.start * width : part.stop * width]
