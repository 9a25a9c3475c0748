"""Mixtures of experts: of many feed-forwards, each token takes the few that a router chooses for it, weighted.

A token's choices are one row: the numbers of its experts, then their weights. What it sends to its experts, or gets
back, are slots next to each other, in the order of the choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.kernels.ops.declaration import Array, Buffer, Call, Op, Shape, Weight
from bitwright.kernels.ops.elementwise import sigmoid
from bitwright.kernels.ops.native import Entry, Lowering, Value

OBSERVE_EXPERTS = Entry("observe_experts", {"index": "index"}, phase="observe", writes="other")
LOAD_EXPERTS = Entry("load_experts", {"index": "index"}, writes="input")
EXPERTS = Entry("experts", phase="linears", weight="matrix")
BIAS_EXPERTS = Entry("bias_experts", in_place="allowed", weight="vector")


@dataclass(eq=False)
class Experts(Op):
    """x @ weight[e].T + bias[e] for each expert e of a token: `weight` is (experts, rows, columns), `bias` (experts,
    rows), the result (tokens, used * rows). x is (tokens, columns) for all slots, or (tokens, used * columns) for each
    its own. `choices` is the output of a `Route`."""

    x: Buffer
    choices: Buffer
    weight: Weight
    bias: Weight | None = None

    kind = "experts"
    entries = (OBSERVE_EXPERTS, LOAD_EXPERTS, EXPERTS, BIAS_EXPERTS)
    multiplies = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return inputs[1] // 2 * shapes[0][1]

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the number of dimensions of {self.weight}", 3, len(shapes[0])
        columns = shapes[0][-1]
        yield "the width of x", columns if inputs[0] == columns else inputs[1] // 2 * columns, inputs[0]
        if self.bias is not None:
            yield f"the shape of {self.bias}", shapes[0][:2], shapes[1]

    def meaning(self, call: Call, x: Array, choices: Array, weight: Array, bias: Array | None = None) -> Array:
        used = choices.shape[1] // 2
        y = np.zeros((len(x), used, weight.shape[1]), x.dtype)
        for expert, slots, own in self.sent(x, choices, weight.shape[2]):
            y[slots] = own @ weight[expert].T
            if bias is not None:
                y[slots] += bias[expert]
        return y.reshape(len(x), -1)

    def gradient(
        self, call: Call, y: Array, x: Array, choices: Array, weight: Array, bias: Array | None = None
    ) -> tuple[Array, Array]:
        columns = weight.shape[2]
        back = np.zeros((len(x), x.shape[1] // columns, columns), x.dtype)
        y = self.slots(y, choices)
        for expert, (rows, places), _ in self.sent(x, choices, columns):
            back[rows, places if back.shape[1] > 1 else 0] += y[rows, places] @ weight[expert]
        return back.reshape(x.shape), np.zeros_like(choices)

    @staticmethod
    def slots(y: Array, choices: Array) -> Array:
        """What the experts return (tokens, used * rows) as (tokens, used, rows)."""
        return y.reshape(len(y), choices.shape[1] // 2, -1)

    @staticmethod
    def sent(x: Array, choices: Array, columns: int) -> Iterator[tuple[int, tuple[Array, Array], Array]]:
        """For each expert that has slots: its number, the rows and places of the slots, their inputs (slots,
        columns). A slot without an expert has a negative number."""
        chosen = choices[:, : choices.shape[1] // 2]
        inputs = x.reshape(len(x), -1, columns)
        for expert in np.unique(chosen[chosen >= 0]):
            rows, places = np.nonzero(chosen == expert)
            yield int(expert), (rows, places), inputs[rows, places if inputs.shape[1] > 1 else 0]

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        y = to.emit(EXPERTS, to.sent(self.x, self.choices, reads, self.weight), width, self.weight)
        return y if self.bias is None else to.emit(BIAS_EXPERTS, [y, reads[1]], width, self.bias)


@dataclass(eq=False)
class Combine(Op):
    """The sum of a token's slots in x (tokens, used * width), each times its weight in `choices`: (tokens, width)."""

    x: Buffer
    choices: Buffer

    kind = "combine"
    entries = (Entry("combine"),)
    by_row = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return inputs[0] // (inputs[1] // 2)

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the remainder", 0, inputs[0] % (inputs[1] // 2)

    def meaning(self, call: Call, x: Array, choices: Array) -> Array:
        y: Array = np.einsum("tj,tjc->tc", choices[:, choices.shape[1] // 2 :], Experts.slots(x, choices))
        return y

    def gradient(self, call: Call, y: Array, x: Array, choices: Array) -> tuple[Array, Array]:
        used = choices.shape[1] // 2
        own = np.einsum("tc,tjc->tj", y, Experts.slots(x, choices))
        to_x = choices[:, used:, None] * y[:, None]
        return to_x.reshape(x.shape), np.hstack([np.zeros_like(own), own])


@dataclass(eq=False)
class Gate(Op):
    """x times the sigmoid of h · weight, one number for each token: how much an expert that takes every token counts.
    `weight` is (width of h,)."""

    x: Buffer
    h: Buffer
    weight: Weight

    kind = "gate"
    entries = (Entry("gate", in_place="allowed", weight="vector"),)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the shape of {self.weight}", (inputs[1],), shapes[0]

    def meaning(self, call: Call, x: Array, h: Array, weight: Array) -> Array:
        return x * sigmoid(h @ weight)[:, None]

    def gradient(self, call: Call, y: Array, x: Array, h: Array, weight: Array) -> tuple[Array, Array]:
        s = sigmoid(h @ weight)
        return y * s[:, None], np.outer(np.sum(y * x, axis=1) * s * (1 - s), weight)
