"""Causal attention over a layer's keys and values, with grouped heads, windows, soft-capped scores and sinks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bitwright.errors import UsageError
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Layer, Op, Shape, Weight
from bitwright.kernels.ops.native import Entry, Lowering, Value

STORE = Entry("store", {"layer": "index"}, writes="other")  # appends keys and values to the layer's cache
ATTEND = Entry(
    "attention",
    {"layer": "index", "heads": "heads", "scale": "value", "softcap": "softcap"},
    phase="attention",
    weight="vector",
)
QUERIES = 128  # rows of scores at a time; keys after the last row are left out


@dataclass(eq=False)
class Attention(Op):
    """Appends k and v (tokens, kv_heads * head_dim) to the layer's cache, unless an earlier op did, then attends
    causally.

    A token sees the positions p of its own sequence with p <= its own, and with `window`, own - p < window.
    Scores are q·k * scale, then with `softcap`, cap * tanh(score / cap). `sinks` (heads,) are one more score for each
    head, which takes its share of the softmax and brings no value (Xiao et al., https://arxiv.org/abs/2309.17453).

    Without v, the first `latent` values of a key are its value, and the cache holds them once; the result is then
    (tokens, heads * latent).
    """

    q: Buffer
    k: Buffer
    v: Buffer | None
    layer: Layer
    heads: Count
    kv_heads: Count
    head_dim: Count
    scale: float
    window: Count | None = None
    softcap: float | None = None
    sinks: Weight | None = None
    latent: Count | None = None

    kind = "attention"
    entries = (STORE, ATTEND)
    all_tokens = True
    stores = True  # whether it is the first op of the step that uses the cache; set by the step

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.kv_heads:
            raise UsageError(f"attention: {self.heads} heads cannot share {self.kv_heads} key-value heads evenly")
        if (self.v is None) != (self.latent is not None) or (self.latent or 0) > self.head_dim:
            raise UsageError(f"attention: expected values, or 1 to {self.head_dim} values of a key that are its value")
        self.softcap = self.softcap or None

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return self.heads * self.value_dim

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "the widths of q, k, v", [q, *[kv] * (len(inputs) - 1)], inputs
        if self.sinks is not None:
            yield f"the shape of {self.sinks}", (self.heads,), shapes[0]

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        return to.emit(ATTEND, [reads[0], to.cache(self.layer, reads[1:])], width, self.sinks, **self.attributes)

    @property
    def cached(self) -> tuple[Any, ...]:
        """What ops that share a cache have in common."""
        return self.k.id, self.v and self.v.id, self.kv_heads, self.head_dim, self.window, self.latent

    @property
    def value_dim(self) -> int:
        """Values that a head returns."""
        return self.latent or self.head_dim

    def meaning(self, call: Call, q: Array, k: Array, *others: Array) -> Array:
        v, sinks = self._values(k, others)
        q, k, v = (x.reshape(len(x), -1, self.head_dim) for x in (q, k, v))
        if self.stores:
            k, v = call.stored(k), call.stored(v)
        v = v[..., : self.value_dim]
        y = np.empty((*q.shape[:2], self.value_dim), q.dtype)
        for i, (position, sequence) in enumerate(zip(call.positions, call.sequences, strict=True)):
            keys, values = call.cache.setdefault((self.layer, int(sequence)), ([], []))
            if self.stores:
                keys[position:], values[position:] = [k[i]], [v[i]]
            start = max(0, position + 1 - self.window) if self.window else 0
            shared = self.heads // self.kv_heads
            seen_keys, seen_values = (  # (seen, heads, head_dim)
                np.repeat(np.array(x[start : position + 1]), shared, axis=1) for x in (keys, values)
            )
            scores = np.einsum("hd,phd->hp", q[i], seen_keys) * self.scale
            if self.softcap:
                scores = self.softcap * np.tanh(scores / self.softcap)
            if sinks is not None:
                scores = np.hstack([scores, sinks[:, None]])
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            y[i] = np.einsum("hp,phd->hd", weights[:, : len(seen_values)], seen_values)
        return y.reshape(len(y), -1)

    def over_text(self, call: Call, *arrays: Array) -> Array:
        q, k, *others = arrays
        v, sinks = self._values(k, others)
        q, k, v = (self._by_head(x) for x in (q, k, v))
        v = v[..., : self.value_dim]
        y = np.empty((*q.shape[:3], self.value_dim), q.dtype)
        for rows, keys in self._blocks(q.shape[2]):
            p, _ = self._weights(q[:, :, rows], k[:, 0, keys], rows, keys, sinks)
            y[:, :, rows] = (p @ v[:, 0, keys]).reshape(y[:, :, rows].shape)
        return _by_token(y)

    def gradient(self, call: Call, y: Array, q: Array, k: Array, *others: Array) -> tuple[Array, ...]:
        v, sinks = self._values(k, others)
        y = self._by_head(y, self.value_dim)
        q, k, v = (self._by_head(x) for x in (q, k, v))
        v = v[..., : self.value_dim]
        to_q, to_k, to_v = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
        for rows, keys in self._blocks(q.shape[2]):
            p, t = self._weights(q[:, :, rows], k[:, 0, keys], rows, keys, sinks)
            own, asked = (x[:, :, rows].reshape(len(k), -1, x.shape[-1]) for x in (y, q))
            to_v[:, 0, keys] += p.swapaxes(1, 2) @ own
            s = own @ v[:, 0, keys].swapaxes(1, 2)
            s -= np.einsum("hij,hij->hi", p, s)[:, :, None]
            s *= p
            if t is not None:
                s *= 1 - t * t
            s *= self.scale
            to_q[:, :, rows] = (s @ k[:, 0, keys]).reshape(to_q[:, :, rows].shape)
            to_k[:, 0, keys] += s.swapaxes(1, 2) @ asked
        if self.v is not None:
            return _by_token(to_q), _by_token(to_k), _by_token(to_v)
        to_k[..., : self.value_dim] += to_v
        return _by_token(to_q), _by_token(to_k)

    def of_heads(self, kv_heads: int) -> Attention:
        """The same op for `kv_heads` of its key-value heads and the query heads that share them."""
        return replace(self, heads=self.heads // self.kv_heads * kv_heads, kv_heads=kv_heads)

    def _values(self, k: Array, others: Sequence[Array]) -> tuple[Array, Array | None]:
        """The array whose heads begin with the values, and the sinks, from what follows the keys."""
        v, *sinks = others if self.v is not None else (k, *others)
        return v, next(iter(sinks), None)

    def _by_head(self, x: Array, dim: int | None = None) -> Array:
        """(tokens, width) as (kv heads, query heads for each, tokens, dim), by default head_dim; keys and values have
        one for each."""
        return x.reshape(len(x), self.kv_heads, -1, dim or self.head_dim).transpose(1, 2, 0, 3)

    def _blocks(self, n: int) -> Iterator[tuple[slice, slice]]:
        """Some queries at a time, and the keys that at least one of them sees."""
        for start in range(0, n, QUERIES):
            end = min(n, start + QUERIES)
            yield slice(start, end), slice(max(0, start + 1 - self.window) if self.window else 0, end)

    def _weights(
        self, q: Array, k: Array, rows: slice, keys: slice, sinks: Array | None = None
    ) -> tuple[Array, Array | None]:
        """The weights of values (kv heads, heads for each * queries, keys), and the tanh of a softcap.

        `q` is (kv heads, heads for each, queries, head_dim), `k` (kv heads, keys, head_dim), `sinks` (heads,).
        """
        s = q.reshape(len(k), -1, self.head_dim) @ k.swapaxes(1, 2)
        s *= self.scale
        t = np.tanh(s / self.softcap) if self.softcap else None
        if t is not None:
            s = t * self.softcap
        behind = np.arange(rows.start, rows.stop)[:, None] - np.arange(keys.start, keys.stop)
        hidden = (behind < 0) | (behind >= self.window) if self.window else behind < 0
        grid = s.reshape(*q.shape[:3], -1)
        grid += np.where(hidden, -np.inf, 0).astype(s.dtype)
        most = s.max(axis=-1, keepdims=True)
        sink = None if sinks is None else np.repeat(sinks.reshape(len(k), -1), q.shape[2], axis=1)[:, :, None]
        if sink is not None:
            most = np.maximum(most, sink)
        s -= most
        np.exp(s, out=s)
        s /= s.sum(axis=-1, keepdims=True) + (0 if sink is None else np.exp(sink - most))
        return s, t


def _by_token(x: Array) -> Array:
    """Back from (kv heads, query heads for each, tokens, head_dim) to (tokens, width)."""
    return np.ascontiguousarray(x.transpose(2, 0, 1, 3)).reshape(x.shape[2], -1)
