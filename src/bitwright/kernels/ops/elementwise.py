"""Ops that work value by value, and the choice of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Op, Shape, Weight
from bitwright.kernels.ops.native import Entry, Lowering, Value

Activation = Literal["silu", "gelu_tanh", "clamped", "sigmoid", "identity"]
GAIN, LIMIT = 1.702, 7.0  # https://github.com/openai/gpt-oss, gpt_oss/torch/model.py: swiglu
GLU = {name: Entry(f"glu_{name}", in_place="allowed") for name in get_args(Activation)}


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    y: Array = 1 / (1 + np.exp(-x))
    return y


@dataclass(eq=False)
class Glu(Op):
    """activation(gate) * up. "clamped", which gpt-oss has, is gate * sigmoid(1.702 * gate) * (up + 1) of a gate of at
    most 7, and an up within 7 of 0."""

    gate: Buffer
    up: Buffer
    activation: Activation = "silu"

    kind = "glu"
    entries = tuple(GLU.values())
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the second width", inputs[0], inputs[1]

    def meaning(self, call: Call, gate: Array, up: Array) -> Array:
        if self.activation == "gelu_tanh":
            y: Array = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))) * up
        elif self.activation == "silu":
            y = gate * sigmoid(gate) * up
        elif self.activation == "sigmoid":
            y = sigmoid(gate) * up
        elif self.activation == "identity":
            y = gate * up
        else:
            gate, up = np.minimum(gate, LIMIT), np.clip(up, -LIMIT, LIMIT)
            y = gate * sigmoid(GAIN * gate) * (up + 1)
        return y

    def gradient(self, call: Call, y: Array, gate: Array, up: Array) -> tuple[Array, Array]:
        if self.activation == "gelu_tanh":
            c, square = float(np.sqrt(2 / np.pi)), gate * gate
            t = np.tanh(c * gate * (1 + 0.044715 * square))
            slope = 0.5 * (1 + t) + 0.5 * gate * (1 - t * t) * c * (1 + 3 * 0.044715 * square)
            return y * up * slope, y * 0.5 * gate * (1 + t)
        if self.activation == "silu":
            act, slope = _swish(gate, 1)
            return y * up * slope, y * act
        if self.activation == "sigmoid":
            act = sigmoid(gate)
            return y * up * act * (1 - act), y * act
        if self.activation == "identity":
            return y * up, y * gate
        act, slope = _swish(np.minimum(gate, LIMIT), GAIN)
        return y * (np.clip(up, -LIMIT, LIMIT) + 1) * slope * (gate < LIMIT), y * act * (np.abs(up) < LIMIT)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(GLU[self.activation], reads, width)


def _swish(x: Array, gain: float) -> tuple[Array, Array]:
    """x * sigmoid(gain * x), and its slope."""
    s = sigmoid(gain * x)
    act = x * s
    return act, s * (1 + gain * (x - act))


@dataclass(eq=False)
class Add(Op):
    """x + y."""

    x: Buffer
    y: Buffer

    kind = "add"
    entries = (Entry("add", in_place="allowed"),)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the second width", inputs[0], inputs[1]

    def meaning(self, call: Call, x: Array, y: Array) -> Array:
        return x + y

    def gradient(self, call: Call, gradient: Array, x: Array, y: Array) -> tuple[Array, Array]:
        return gradient, gradient


@dataclass(eq=False)
class Scale(Op):
    """x * factor, times the only value of `weight` if there is one."""

    x: Buffer
    factor: float = 1.0
    weight: Weight | None = None

    kind = "scale"
    entries = (Entry("scale", {"factor": "value"}, in_place="required", weight="factor"),)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        if self.weight is not None:
            yield f"the shape of {self.weight}", (1,), shapes[0]

    def meaning(self, call: Call, x: Array, weight: Array | float = 1.0) -> Array:
        return x * (self.factor * weight)

    def gradient(self, call: Call, y: Array, x: Array, weight: Array | float = 1.0) -> tuple[Array]:
        return (y * (self.factor * weight),)


@dataclass(eq=False)
class Softcap(Op):
    """cap * tanh(x / cap)."""

    x: Buffer
    cap: float

    kind = "softcap"
    entries = (Entry("softcap", {"cap": "value"}, in_place="required"),)
    by_row = True

    def meaning(self, call: Call, x: Array) -> Array:
        return self.cap * np.tanh(x / self.cap)

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        return (y * (1 - np.tanh(x / self.cap) ** 2),)


@dataclass(eq=False)
class Temperature(Op):
    """x * (1 + scale * ln(1 + floor(position / length))): queries that grow, so that attention over a long text stays
    as sharp (Llama 4, Ministral 3). The call gives the positions."""

    x: Buffer
    scale: float
    length: Count

    kind = "temperature"
    entries = (Entry("temperature", {"scale": "value", "length": "length"}, in_place="required"),)
    by_row = True
    all_tokens = True

    def meaning(self, call: Call, x: Array) -> Array:
        grown = 1 + self.scale * np.log1p(call.positions // self.length)
        y: Array = x * grown[:, None].astype(call.dtype)
        return y

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        return (self.meaning(call, y),)


@dataclass(eq=False)
class Columns(Op):
    """The columns of x from `first` on, `count` of them: one part of a product whose matrix holds several. Of x in
    `slices` of equal width, those columns of each."""

    x: Buffer
    first: int
    count: Count
    slices: Count = 1

    kind = "columns"
    entries = (Entry("copy", {"first": "index", "slices": "heads"}),)
    by_row = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return self.slices * self.count

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        end = self.first + self.count
        yield "the remainder", 0, inputs[0] % self.slices
        yield "the columns that are there", end, min(end, inputs[0] // self.slices)

    def meaning(self, call: Call, x: Array) -> Array:
        return self._part(x).reshape(len(x), -1)

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        back = np.zeros_like(x)
        self._part(back)[:] = y.reshape(len(x), self.slices, -1)
        return (back,)

    def _part(self, x: Array) -> Array:
        return x.reshape(len(x), self.slices, -1)[:, :, self.first : self.first + self.count]


@dataclass(eq=False)
class Join(Op):
    """The columns of x, then those of y. Of both in `slices` of equal width, slice by slice."""

    x: Buffer
    y: Buffer
    slices: Count = 1

    kind = "join"
    entries = (Entry("join", {"slices": "heads"}),)
    by_row = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return sum(inputs)

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the remainders", [0, 0], [width % self.slices for width in inputs]

    def meaning(self, call: Call, x: Array, y: Array) -> Array:
        both = [part.reshape(len(x), self.slices, -1) for part in (x, y)]
        return np.concatenate(both, axis=2).reshape(len(x), -1)

    def gradient(self, call: Call, gradient: Array, x: Array, y: Array) -> tuple[Array, Array]:
        parts = np.split(gradient.reshape(len(x), self.slices, -1), [x.shape[1] // self.slices], axis=2)
        return parts[0].reshape(x.shape), parts[1].reshape(y.shape)


@dataclass(eq=False)
class Select(Op):
    """The rows of x whose logits are requested, in that order; later ops compute only those."""

    x: Buffer

    kind = "select"
    entries = (Entry("select"),)
    selects = True

    def meaning(self, call: Call, x: Array) -> Array:
        return x[call.outputs]

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        back = np.zeros_like(x)
        np.add.at(back, call.outputs, y)
        return (back,)
