"""A short causal convolution. Like all ops that keep a state of fixed size for each sequence, it cannot go back to an
earlier token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bitwright.kernels.ops.declaration import Array, Buffer, Call, Layer, Op, Shape, Weight
from bitwright.kernels.ops.elementwise import sigmoid
from bitwright.kernels.ops.native import Entry, Lowering, Value

CONVOLVE = {
    activation: Entry(f"convolve{'_silu' if activation else ''}", {"state": "index"}, phase="states", weight="columns")
    for activation in ("silu", None)
}
TAPS = 16  # at most (recurrence.h: kMaxTaps)


@dataclass(eq=False)
class Convolution(Op):
    """Over the tokens of a sequence, each channel alone: y[t, c] = bias[c] + sum_k weight[c, k] x[t - (taps - 1) + k,
    c], where x is zero before the first token; then the activation. `weight` is (channels, taps), with 2 to 16 taps,
    `bias` (channels,)."""

    x: Buffer
    weight: Weight
    layer: Layer
    activation: Literal["silu"] | None = None
    bias: Weight | None = None

    kind = "convolution"
    keeps_state = True
    entries = tuple(CONVOLVE.values())
    all_tokens = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the number of dimensions of {self.weight}", 2, len(shapes[0])
        taps = shapes[0][-1]
        yield f"the shape of {self.weight}", (inputs[0], min(max(taps, 2), TAPS)), shapes[0]
        if self.bias is not None:
            yield f"the shape of {self.bias}", (inputs[0],), shapes[1]

    def state_floats(self, shapes: list[Shape]) -> int:
        channels, taps = shapes[0]
        return channels * (taps - 1)

    def meaning(self, call: Call, x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
        y = np.empty_like(x)
        for t, (key, state) in enumerate(self._states(call, np.zeros((weight.shape[1] - 1, x.shape[1]), x.dtype))):
            seen = np.concatenate([state, x[t : t + 1]])
            y[t], call.states[key] = np.einsum("kc,ck->c", seen, weight) + bias, seen[1:]
        return y * sigmoid(y) if self.activation else y

    def over_text(self, call: Call, *arrays: Array) -> Array:
        y = self._sums(*arrays)
        return y * sigmoid(y) if self.activation else y

    def gradient(self, call: Call, y: Array, x: Array, weight: Array, bias: Array | float = 0.0) -> tuple[Array]:
        if self.activation:
            sums = self._sums(x, weight, bias)
            share = sigmoid(sums)
            y = y * share * (1 + sums * (1 - share))
        return (self._sums(y[::-1], weight)[::-1],)

    @staticmethod
    def _sums(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
        kept = weight.shape[1] - 1
        padded = np.concatenate([np.zeros((kept, x.shape[1]), x.dtype), x])
        y: Array = sum(padded[k : k + len(x)] * weight[:, k] for k in range(kept + 1))  # type: ignore[assignment]
        return y + bias

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(CONVOLVE[self.activation], reads, width, self.weight, state=self.state, bias=self.bias)
