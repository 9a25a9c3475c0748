"""A step over one whole text in NumPy, forward and backward: the gradient at the output of every op.

The ops are cut wherever later ops read a single buffer (the residual stream, twice per layer), besides those that the
step reads across borders of layers. The forward pass keeps these buffers for every part, and the values in between as
long as they fit `memory`; the backward pass runs the other parts again. Products decode some rows of a weight at a
time. So memory holds one part of a model, and no whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from bitwright.formats import QuantizedTensor
from bitwright.formats.tensor import Shaped
from bitwright.kernels.op_sharing import shared, some_rows
from bitwright.kernels.ops import Array, Buffer, Call, Experts, Linear, Op, Step, widths
from bitwright.kernels.products import Products, Stacked, Weight, decoded
from bitwright.kernels.sharing import Sharing

Values = dict[int, Array]  # by the id of a buffer
Visit = Callable[[Op, list[Array], Array | None], None]  # an op, its inputs, the gradient of its output

MEMORY = 1 << 30  # bytes of values kept between forward and backward
LOGITS = 1 << 27  # values at a time, for any size of vocabulary
BLOCK = 1 << 20  # logits whose gradient a thread takes at a time


def missing(step: Step) -> list[str]:
    """The kinds of ops in a step that have no vector-Jacobian product."""
    return sorted({op.kind for op in step.ops if not hasattr(op, "gradient")})


class Tape:
    """Runs `step` forward over the tokens of a text, with positions from 0, and backward.

    `weight(name, rows)` gives a weight as floats, in full if `rows` is None, and `shapes` the shape of each. `memory`
    limits the bytes of values kept. `sharing` holds the threads.
    """

    def __init__(
        self,
        step: Step,
        shapes: Mapping[str, Shaped],
        weight: Weight,
        dtype: DTypeLike = np.float32,
        memory: int = MEMORY,
        sharing: Sharing | None = None,
    ) -> None:
        self.step, self.shapes, self.weight, self.dtype, self.memory = step, shapes, weight, dtype, memory
        self.sharing = sharing or Sharing()
        self.parts, self._widths = parts(step), widths(step, shapes)
        starts = [ops[0].output.id for ops in self.parts]
        self._flowing = [_flowing(step, start) for start in starts]  # into each part
        self._products = Products(shapes, self._weight, self.sharing)
        self._flows: dict[int, Values] = {}
        self._kept: dict[int, Values] = {}

    @classmethod
    def over(cls, step: Step, tensors: Mapping[str, QuantizedTensor], sharing: Sharing, memory: int = MEMORY) -> Tape:
        """A tape that decodes the rows that it needs of `tensors`, each thread its own."""
        return cls(step, tensors, lambda name, rows: decoded(tensors[name], rows), memory=memory, sharing=sharing)

    def observe(
        self, tokens: ArrayLike, visit: Visit, until: str | None = None, first: int = 0, flow: Array | None = None
    ) -> None:
        """Forward only, without logits: visit(op, inputs, None) for every op up to the last product, or up to the
        product with the weight `until`; from part `first`, whose input is `flow`, on."""
        self._start(tokens, first, flow)
        last = max(op.output.id for op in self.step.ops if op.multiplies and until in (None, op.weights[0]))
        for index in range(first, len(self.parts)):
            values = dict(self._flows[index])
            for op in self.parts[index]:
                visit(op, [values[b.id] for b in op.inputs], None)
                if op.output.id == last:
                    return
                values[op.output.id] = self._value(op, values, self.call)
            self._flow_on(index, values)

    def logits(self, tokens: ArrayLike) -> Iterator[tuple[slice, Array]]:
        """Forward; yields the logits after every token, some rows at a time: the rows, and (rows, vocabulary)."""
        self._start(tokens)
        self._forward(range(len(self.parts) - 1))
        for rows, values in self._last():
            yield rows, values[self._result.id]

    def gradients(
        self, tokens: ArrayLike, of_logits: Callable[[slice, Array], Array], visit: Visit, until: int = 0
    ) -> Array:
        """Forward, then visit(op, inputs, gradient) for the ops from the last to the first of part `until`. Returns the
        gradient at the input of that part.

        of_logits(rows, logits), called for all rows in some order, is the gradient with respect to the logits (rows,
        vocabulary) of the differentiated value.
        The ops of a last part that work row by row are visited for some rows at a time.
        """
        below = range(len(self.parts) - 1)
        self._start(tokens)
        self._forward(below, until)
        arrived = []
        for rows, values in self._last():
            logits = values[self._result.id]
            step = max(1, BLOCK // logits.shape[1])

            def of(part: slice, first: int = rows.start, logits: Array = logits, step: int = step) -> None:
                for start in range(part.start, part.stop, step):
                    some = slice(start, min(start + step, part.stop))
                    logits[some] = of_logits(slice(first + some.start, first + some.stop), logits[some])

            self.sharing.map(of, len(logits))
            gradients, call = {self._result.id: logits}, some_rows(self.call, rows)
            arrived.append(self._packed(self._back(self.parts[-1], values, gradients, visit, call)))
        return self._backward(below[until:], np.concatenate(arrived), visit)

    def between(self, tokens: ArrayLike, parts: range, flow: Array | None, gradient: Array, visit: Visit) -> Array:
        """The same for some parts, from the input of the first of them (`flow`, None for part 0) and the gradient at
        the output of the last, as an earlier call found them. Returns the gradient at the input of the first."""
        self._start(tokens, parts.start, flow)
        self._forward(parts, parts.start)
        return self._backward(parts, gradient, visit)

    def flow(self, part: int) -> Array:
        """The input of a part after the first, in the last call: all that flows into it, next to each other."""
        return self._packed(self._flows[part])

    def width(self, part: int) -> int:
        """The columns of `flow`."""
        return sum(self._widths[id] for id in self._flowing[part])

    def _start(self, tokens: ArrayLike, first: int = 0, flow: Array | None = None) -> None:
        ids = np.asarray(tokens)
        n = np.arange(len(ids))
        self.call = Call(self.dtype, ids, n, np.zeros_like(n), n.astype(np.intp))
        self._flows = {first: {} if flow is None else self._unpacked(first, flow)}

    def _flow_on(self, part: int, values: Values) -> None:
        self._flows[part + 1] = {id: values[id] for id in self._flowing[part + 1]}

    def _packed(self, values: Values) -> Array:
        """What flows into a part as one array, in the order of the ids; empty for the first part, which reads
        tokens."""
        if not values:
            return np.empty(0, self.dtype)
        first, *others = (values[id] for id in sorted(values))
        return np.hstack([first, *others]) if others else first

    def _unpacked(self, part: int, x: Array) -> Values:
        ids = self._flowing[part]
        return dict(zip(ids, np.split(x, np.cumsum([self._widths[id] for id in ids])[:-1], axis=1), strict=True))

    def _forward(self, parts: range, keep: int | None = None) -> None:
        """Run the parts: `_flows` are the inputs of all and of the next, `_kept` the values that fit, by part from
        `keep` on."""
        self._kept, room = {}, self.memory
        for index in parts:
            ops = self.parts[index]
            values = self._play(ops, self._flows[index], self.call)
            size = sum(values[op.output.id].nbytes for op in ops)
            if keep is not None and index >= keep and size <= room:
                self._kept[index] = values
                room -= size
            self._flow_on(index, values)

    def _backward(self, parts: range, gradient: Array, visit: Visit) -> Array:
        gradients = self._unpacked(parts.stop, gradient)
        for index in reversed(parts):
            values = self._kept.pop(index, None) or self._play(self.parts[index], self._flows[index], self.call)
            gradients = self._back(self.parts[index], values, gradients, visit, self.call)
        return self._packed(gradients)

    def _last(self) -> Iterator[tuple[slice, Values]]:
        """The values of the last part: whole or, if all its ops work row by row, some rows at a time."""
        ops, n = self.parts[-1], len(self.call.tokens)
        flow = self._flows[len(self.parts) - 1]
        width = max((self.shapes[name].shape[0] for op in ops for name in op.weights), default=1)
        step = max(1, LOGITS // width) if all(op.by_row for op in ops) else n
        for start in range(0, n, step):
            rows = slice(start, min(n, start + step))
            flowing = {id: values[rows] for id, values in flow.items()}
            yield rows, self._play(ops, flowing, some_rows(self.call, rows))

    def _play(self, ops: tuple[Op, ...], flow: Values, call: Call) -> Values:
        values = dict(flow)
        for op in ops:
            values[op.output.id] = self._value(op, values, call)
        return values

    def _value(self, op: Op, values: Values, call: Call) -> Array:
        inputs = [values[b.id] for b in op.inputs]
        if isinstance(op, Linear):
            return self._products.forward(op, inputs[0])
        return shared(self.sharing, op, call, _over_text, inputs, self._weights(op))[0].astype(self.dtype, copy=False)

    def _back(self, ops: tuple[Op, ...], values: Values, gradients: Values, visit: Visit, call: Call) -> Values:
        """From the gradients of what flows out of a part to those of what flows into it."""
        for op in reversed(ops):
            own = gradients.pop(op.output.id).astype(self.dtype, copy=False)
            inputs = [values[b.id] for b in op.inputs]
            visit(op, inputs, own)
            if not inputs:
                continue
            if isinstance(op, Linear):
                back = [self._products.backward(op, own)]
            else:
                back = shared(self.sharing, op, call, _gradient, [own, *inputs], self._weights(op))
            for buffer, part in zip(op.inputs, back, strict=True):
                known = gradients.get(buffer.id)
                gradients[buffer.id] = part if known is None else known + part
        return gradients

    def _weights(self, op: Op) -> list[Any]:
        if isinstance(op, Experts):
            stacked = Stacked(self.shapes[op.weight].shape, partial(self._weight, op.weight))
            return [stacked, *(self._weight(name, None) for name in op.weights[1:])]
        return [self._weight(name, self.call.tokens if op.looks_up else None) for name in op.weights]

    def _weight(self, name: str, rows: Array | slice | int | None) -> Array:
        return self.weight(name, rows).astype(self.dtype, copy=False)

    @property
    def _result(self) -> Buffer:
        assert self.step.result is not None
        return self.step.result


def _over_text(op: Op, call: Call, inputs: list[Array], weights: list[Any]) -> tuple[Array, ...]:
    return (op.over_text(call, *inputs, *weights),)


def _gradient(op: Op, call: Call, arrays: list[Array], weights: list[Any]) -> tuple[Array, ...]:
    return op.gradient(call, *arrays, *weights)


def _flowing(step: Step, start: int) -> list[int]:
    """The ids of what the ops from number `start` on read of those before it."""
    return sorted({b.id for op in step.ops[start:] for b in op.inputs if b.id < start})


def parts(step: Step) -> list[tuple[Op, ...]]:
    """The ops of a step, cut after each whose output is all that later ops read, besides what crosses borders of
    layers."""
    lasting = {b.id for layer in range(len(step.borders)) for b in step.crossing(layer)[:-1]}
    last = {b.id: index for index, op in enumerate(step.ops) for b in op.inputs}
    found, start, needed = [], 0, -1
    for index, op in enumerate(step.ops):
        if needed <= index and index + 1 < len(step.ops):
            found.append(tuple(step.ops[start : index + 1]))
            start = index + 1
        if op.output.id not in lasting:
            needed = max(needed, last.get(op.output.id, -1))
    return [*found, tuple(step.ops[start:])]
