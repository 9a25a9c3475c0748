"""The gated delta rule, and how its state decays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.errors import UsageError
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Layer, Op, Shape, Weight
from bitwright.kernels.ops.elementwise import sigmoid
from bitwright.kernels.ops.linear import BIAS
from bitwright.kernels.ops.native import Entry, Lowering, Value

DECAY = Entry("decay", in_place="allowed", weight="vector")
DELTA = {
    tiled: Entry(
        f"delta_{'tiled' if tiled else 'grouped'}",
        {"state": "index", "heads": "heads", "key_dim": "head_dim", "eps": "value"},
        phase="states",
    )
    for tiled in (True, False)
}
RUN = 16  # floats in whose multiples the values of a head are kept (attention.h: kKeyGroup)
CHUNK = 64  # tokens of a text that are computed together


@dataclass(eq=False)
class Decay(Op):
    """rates * ln(1 + e^(x + bias)): the logarithm by which a state shrinks. `rates` and `bias` are (width,), rates
    negative."""

    x: Buffer
    rates: Weight
    bias: Weight

    kind = "decay"
    entries = (BIAS, DECAY)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the shapes of {self.rates} and {self.bias}", [(inputs[0],)] * 2, shapes

    def meaning(self, call: Call, x: Array, rates: Array, bias: Array) -> Array:
        y: Array = rates * np.logaddexp(0, x + bias)
        return y

    def gradient(self, call: Call, y: Array, x: Array, rates: Array, bias: Array) -> tuple[Array]:
        return (y * rates * sigmoid(x + bias),)

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
        return self.heads * self.key_dim * -(-self.value_dim // RUN) * RUN

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
        return _by_token(np.concatenate([chunk.y for chunk in self._chunks(*arrays)], axis=1))

    def gradient(self, call: Call, y: Array, x: Array, decays: Array, betas: Array) -> tuple[Array, Array, Array]:
        y = y.reshape(len(x), self.heads, self.value_dim).swapaxes(0, 1)
        to_state = np.zeros((self.heads, self.key_dim, self.value_dim), x.dtype)
        found = []
        for chunk in reversed(self._chunks(x, decays, betas)):
            *own, to_state = chunk.gradient(y[:, chunk.rows], to_state)
            found.append(own)
        q, k, v, to_decays, to_shares = (np.concatenate(part, axis=1) for part in zip(*reversed(found), strict=True))
        shares = sigmoid(betas)
        return self._of_heads(x, q, k, v), to_decays.T, to_shares.T * shares * (1 - shares)

    def _chunks(self, x: Array, decays: Array, betas: Array) -> list[Chunk]:
        (q, k, v), shares, found = self._by_head(x), sigmoid(betas).T, list[Chunk]()
        state = np.zeros((self.heads, self.key_dim, self.value_dim), x.dtype)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, min(start + CHUNK, len(x)))
            own = Chunk(rows, q[:, rows], k[:, rows], v[:, rows], decays.T[:, rows], shares[:, rows], state)
            found.append(own)
            state = own.after
        return found

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


class Chunk:
    """Some tokens of a text, all heads together: q, k (heads, tokens, key_dim), v, decays and shares (heads, tokens)
    and the state before them. `y` (heads, tokens, value_dim) and the state `after` them come from products of matrices,
    as in native/kernels/recurrent.inl."""

    def __init__(self, rows: slice, q: Array, k: Array, v: Array, decays: Array, shares: Array, state: Array) -> None:
        self.rows, self.q, self.k, self.v, self.shares, self.state = rows, q, k, v, shares, state
        sums = np.cumsum(decays, axis=1)
        between = np.where(np.tri(sums.shape[1], dtype=bool), sums[:, :, None] - sums[:, None], -np.inf)
        self.between = np.exp(between).astype(q.dtype)  # what is left at token t of what token s <= t wrote
        self.whole, self.left = np.exp(sums)[..., None], self.between[:, -1, :, None]
        self.keys, self.asked = k @ k.swapaxes(1, 2), q @ k.swapaxes(1, 2)
        self.known, self.read = k @ state, q @ state
        self.system = np.eye(sums.shape[1], dtype=q.dtype) + shares[..., None] * np.tril(self.keys * self.between, -1)
        self.change = np.linalg.solve(self.system, shares[..., None] * (v - self.whole * self.known))
        self.y = self.whole * self.read + (self.asked * self.between) @ self.change
        self.after = self.whole[:, -1:] * state + (k * self.left).swapaxes(1, 2) @ self.change

    def gradient(self, y: Array, after: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
        """From the gradients of `y` and `after`, those of q, k, v, decays, shares and the state."""
        k, q, state, shares = self.k, self.q, self.state, self.shares[..., None]
        written = self.change @ after.swapaxes(1, 2)
        to_change = (self.asked * self.between).swapaxes(1, 2) @ y + (k * self.left) @ after
        to_asked = y @ self.change.swapaxes(1, 2)
        to_right = np.linalg.solve(self.system.swapaxes(1, 2), to_change)
        to_system = -np.tril(to_right @ self.change.swapaxes(1, 2), -1)
        to_known = -shares * self.whole * to_right
        to_keys = shares * to_system
        own, asked = to_keys * self.between, to_asked * self.between
        to_q = self.whole * (y @ state.swapaxes(1, 2)) + asked @ k
        to_k = own @ k + own.swapaxes(1, 2) @ k + asked.swapaxes(1, 2) @ q
        to_k += to_known @ state.swapaxes(1, 2) + self.left * written
        to_state = k.swapaxes(1, 2) @ to_known + q.swapaxes(1, 2) @ (self.whole * y) + self.whole[:, -1:] * after
        to_shares = np.sum(to_right * (self.v - self.whole * self.known), axis=2)
        to_shares += np.sum(to_system * self.keys * self.between, axis=2)
        # of the sums of decays: at token t, and with a minus at token s
        pairs = (to_keys * self.keys + to_asked * self.asked) * self.between
        to_sums = np.sum(pairs, axis=2) - np.sum(pairs, axis=1)
        to_sums += np.sum(self.whole * self.read * y + to_known * self.known, axis=2)
        left = np.sum(self.left * k * written, axis=2)
        to_sums -= left
        to_sums[:, -1] += np.sum(left, axis=1) + np.sum(self.whole[:, -1:] * state * after, axis=(1, 2))
        to_decays = np.cumsum(to_sums[:, ::-1], axis=1)[:, ::-1]
        return to_q, to_k, shares * to_right, to_decays, to_shares, to_state


def _by_token(x: Array) -> Array:
    """(heads, tokens, width) as (tokens, heads * width)."""
    return np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape[1], -1)
