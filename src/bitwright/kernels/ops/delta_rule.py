"""The gated delta rule, and how its state decays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.errors import UsageError
from bitwright.kernels.ops.chunks import Chunk, chunks, gradients, outputs, state_floats
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Layer, Op, Shape, Weight
from bitwright.kernels.ops.elementwise import sigmoid
from bitwright.kernels.ops.linear import BIAS
from bitwright.kernels.ops.native import Entry, Lowering, Value

DECAY = Entry("decay", in_place="allowed", weight="ones")
DELTA = {
    tiled: Entry(
        f"delta_{'tiled' if tiled else 'grouped'}",
        {"state": "index", "heads": "heads", "key_dim": "head_dim", "eps": "value"},
        phase="states",
    )
    for tiled in (True, False)
}


@dataclass(eq=False)
class Decay(Op):
    """rates * ln(1 + e^(x + bias)): the logarithm by which a state shrinks, or without rates the step of a scan.
    `rates` and `bias` have `width` values, rates negative ones."""

    x: Buffer
    bias: Weight
    rates: Weight | None = None

    kind = "decay"
    entries = (BIAS, DECAY)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        for name, shape in zip(self.weights, shapes, strict=True):
            yield f"the values of {name}", inputs[0], math.prod(shape)

    def meaning(self, call: Call, x: Array, bias: Array, *rates: Array) -> Array:
        y: Array = self._rates(x, rates) * np.logaddexp(0, x + bias)
        return y

    def gradient(self, call: Call, y: Array, x: Array, bias: Array, *rates: Array) -> tuple[Array]:
        return (y * self._rates(x, rates) * sigmoid(x + bias),)

    @staticmethod
    def _rates(x: Array, rates: tuple[Array, ...]) -> Array:
        return rates[0].reshape(-1) if rates else np.ones(x.shape[1], x.dtype)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(DECAY, [to.emit(BIAS, reads, width, self.bias)], width, self.rates)


@dataclass(eq=False)
class DeltaRule(Op):
    """The gated delta rule (Yang et al., https://arxiv.org/abs/2412.06464). For each of `heads`, a state S (key_dim,
    value_dim) that is zero before the first token:

        S = e^decay S;  S += k ⊗ β (v - S'k);  y = S'q

    x holds queries and keys (key_heads, key_dim) and values (heads, value_dim); q and k are divided by
    sqrt(|·|² + eps), q also by sqrt(key_dim), and β is the sigmoid of `betas`. `decays` and `betas` are (tokens,
    heads). Head h has the keys of head h % key_heads if `tiled`, else those of h // (heads / key_heads).
    """

    x: Buffer
    decays: Buffer
    betas: Buffer
    layer: Layer
    key_heads: Count
    key_dim: Count
    heads: Count
    value_dim: Count
    tiled: bool
    eps: float = 1e-6

    kind = "delta_rule"
    keeps_state = True
    entries = tuple(DELTA.values())
    all_tokens = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.key_heads:
            raise UsageError(f"delta_rule: {self.heads} heads cannot share {self.key_heads} heads of keys evenly")

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return self.heads * self.value_dim

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        parts = 2 * self.key_heads * self.key_dim + self.heads * self.value_dim
        yield "the widths of x, decays and betas", [parts, self.heads, self.heads], inputs

    def state_floats(self, shapes: list[Shape]) -> int:
        return state_floats(self.heads, self.key_dim, self.value_dim)

    def meaning(self, call: Call, x: Array, decays: Array, betas: Array) -> Array:
        (q, k, v), shares, y = self._by_head(x), sigmoid(betas), []
        first = np.zeros((self.heads, self.key_dim, self.value_dim), x.dtype)
        for t, (key, state) in enumerate(self._states(call, first)):
            state = state * np.exp(decays[t])[:, None, None]
            change = shares[t][:, None] * (v[:, t] - np.einsum("hi,hij->hj", k[:, t], state))
            call.states[key] = state = state + k[:, t, :, None] * change[:, None]
            y.append(np.einsum("hi,hij->hj", q[:, t], state))
        return np.array(y, x.dtype).reshape(len(x), -1)

    def over_text(self, call: Call, *arrays: Array) -> Array:
        return outputs(self._chunks(*arrays))

    def gradient(self, call: Call, y: Array, x: Array, decays: Array, betas: Array) -> tuple[Array, Array, Array]:
        q, k, v, to_decays, to_shares = gradients(self._chunks(x, decays, betas), y)
        shares = sigmoid(betas)
        return self._of_heads(x, q, k, v), to_decays.T, to_shares.T * shares * (1 - shares)

    def _chunks(self, x: Array, decays: Array, betas: Array) -> list[Chunk]:
        return chunks(*self._by_head(x), decays.T, sigmoid(betas).T, corrects=True)

    def _split(self, x: Array) -> tuple[Array, Array, Array]:
        """Queries, keys (tokens, key heads, key_dim) and values (tokens, heads, value_dim) as x holds them."""
        keys = self.key_heads * self.key_dim
        q, k, v = np.split(x, [keys, 2 * keys], axis=1)
        shape = len(x), self.key_heads, self.key_dim
        return q.reshape(shape), k.reshape(shape), v.reshape(len(x), self.heads, self.value_dim)

    def _lengths(self, x: Array) -> Array:
        found: Array = np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + self.eps)
        return found

    def _by_head(self, x: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values of every head (heads, tokens, ...), normalized."""
        q, k, v = self._split(x)
        q, k = q / (self._lengths(q) * self.key_dim**0.5), k / self._lengths(k)
        heads = np.arange(self.heads)
        of = heads % self.key_heads if self.tiled else heads // (self.heads // self.key_heads)
        return q[:, of].swapaxes(0, 1), k[:, of].swapaxes(0, 1), v.swapaxes(0, 1)

    def _of_heads(self, x: Array, *gradients: Array) -> Array:
        """The gradient of x from those of what `_by_head` returns."""
        *raw, _ = self._split(x)
        to_q, to_k, to_v = (own.swapaxes(0, 1) for own in gradients)
        found = []
        for own, of, factor in ((to_q, raw[0], self.key_dim**-0.5), (to_k, raw[1], 1.0)):
            shared = (-1, self.key_heads) if self.tiled else (self.key_heads, -1)
            own = own.reshape(len(x), *shared, self.key_dim).sum(axis=1 if self.tiled else 2) * factor
            lengths = self._lengths(of)
            unit = of / lengths
            found.append((own - unit * np.sum(unit * own, axis=-1, keepdims=True)) / lengths)
        return np.concatenate([own.reshape(len(x), -1) for own in (*found, to_v)], axis=1)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(DELTA[self.tiled], reads, width, state=self.state, **self.attributes)
