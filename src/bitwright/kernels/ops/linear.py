"""Products with a matrix, and rows looked up in one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bitwright.errors import UsageError
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Op, Shape, Weight
from bitwright.kernels.ops.native import Entry, Lowering, Value

OBSERVE = Entry("observe", {"index": "index"}, phase="observe", writes="other")  # adds up squares of each column
LOAD = Entry("load", {"index": "index"}, writes="input")  # converts the input of products
PRODUCT = Entry("linear", phase="linears", weight="matrix")
BIAS = Entry("bias", in_place="allowed", weight="vector")


@dataclass(eq=False)
class Embed(Op):
    """Rows of `weight` (vocabulary, width) named by the call's tokens, times `scale`."""

    weight: Weight
    scale: float = 1.0

    kind = "embed"
    entries = (Entry("embed", {"scale": "value"}, weight="matrix"),)
    looks_up = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return shapes[0][1]

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the number of dimensions of {self.weight}", 2, len(shapes[0])

    def meaning(self, call: Call, rows: Array) -> Array:
        return rows * self.scale

    def gradient(self, call: Call, y: Array, rows: Array) -> tuple[()]:
        return ()


@dataclass(eq=False)
class Hidden(Op):
    """The hidden state that the caller provides: `columns` floats for each token, instead of an embedding."""

    columns: Count

    kind = "hidden"
    entries = (Entry("hidden"),)

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return self.columns

    def meaning(self, call: Call) -> Array:
        if call.hidden is None or call.hidden.shape != (len(call.tokens), self.columns):
            raise UsageError(f"expected a hidden state of {(len(call.tokens), self.columns)}")
        return call.hidden

    def gradient(self, call: Call, y: Array) -> tuple[()]:
        return ()

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(self.entries[0], reads, width)


@dataclass(eq=False)
class Linear(Op):
    """x @ weight.T + bias: `weight` is (rows, columns), `bias` is (rows,), the result (tokens, rows)."""

    x: Buffer
    weight: Weight
    bias: Weight | None = None

    kind = "linear"
    entries = (OBSERVE, LOAD, PRODUCT, BIAS)
    by_row = True
    multiplies = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return shapes[0][0]

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the columns of {self.weight}", (inputs[0],), shapes[0][1:]
        if self.bias is not None:
            yield f"the shape of {self.bias}", shapes[0][:1], shapes[1]

    def meaning(self, call: Call, x: Array, weight: Array, bias: Array | None = None) -> Array:
        y = x @ weight.T
        return y if bias is None else y + bias

    def gradient(self, call: Call, y: Array, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array]:
        return (y @ weight,)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        y = to.emit(PRODUCT, [to.converted(self.x, reads[0], self.weight)], width, self.weight)
        return y if self.bias is None else to.emit(BIAS, [y], width, self.bias)
