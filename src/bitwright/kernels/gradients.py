"""Vector-Jacobian products: from the gradient of an op's output to the gradients of its inputs.

Each op's stands under its name with `_back` behind: attributes, the gradient of its output, its inputs, its weights.
Weights get none: what calibration wants is the gradient at outputs. Forward the ops are the oracle's but for attention,
which here takes a text at once and keeps no cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.kernels.oracle import Operations

Array = NDArray[Any]
Attributes = Any  # of an op: a mapping

QUERIES = 128  # rows of scores at a time: what lies after the last of them is not computed


class Differentiable(Operations):
    """The ops there and back; an embedding's weight is the rows of the tokens alone."""

    def _embed(self, a: Attributes, rows: Array) -> Array:
        return rows * a["scale"]

    def _rms_norm_back(self, a: Attributes, y: Array, x: Array, weight: Array) -> tuple[Array]:
        h, y = (v.reshape(len(x), a["heads"], -1) for v in (x, y))
        r = 1 / np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + a["eps"])
        y = y * weight
        return ((r * (y - h * (r * r * np.mean(h * y, axis=-1, keepdims=True)))).reshape(x.shape),)

    def _linear_back(self, a: Attributes, y: Array, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array]:
        return (y @ weight,)

    def _rope_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (self._rope({**a, "inverse_frequencies": -a["inverse_frequencies"]}, y),)  # turned back

    def _glu_back(self, a: Attributes, y: Array, gate: Array, up: Array) -> tuple[Array, Array]:
        if a["activation"] == "silu":
            s = 1 / (1 + np.exp(-gate))
            act = gate * s
            slope = s * (1 + gate - act)
        else:
            c, square = float(np.sqrt(2 / np.pi)), gate * gate
            t = np.tanh(c * gate * (1 + 0.044715 * square))
            act = 0.5 * gate * (1 + t)
            slope = 0.5 * (1 + t) + 0.5 * gate * (1 - t * t) * c * (1 + 3 * 0.044715 * square)
        return y * up * slope, y * act

    def _add_back(self, a: Attributes, y: Array, *inputs: Array) -> tuple[Array, Array]:
        return y, y

    def _scale_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (y * a["factor"],)

    def _softcap_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (y * (1 - np.tanh(x / a["cap"]) ** 2),)

    def _select_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        back = np.zeros_like(x)
        np.add.at(back, self.outputs, y)
        return (back,)

    def _attention(self, a: Attributes, q: Array, k: Array, v: Array) -> Array:
        q, k, v = (_heads(x, a) for x in (q, k, v))
        y = np.empty_like(q)
        for rows, keys in _blocks(a, q.shape[2]):
            p, _ = _scores(a, q[:, :, rows], k[:, 0, keys], rows, keys)
            y[:, :, rows] = (p @ v[:, 0, keys]).reshape(y[:, :, rows].shape)
        return _rows(y)

    def _attention_back(self, a: Attributes, y: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
        y, q, k, v = (_heads(x, a) for x in (y, q, k, v))
        to_q, to_k, to_v = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
        for rows, keys in _blocks(a, q.shape[2]):
            p, t = _scores(a, q[:, :, rows], k[:, 0, keys], rows, keys)
            own, asked = (x[:, :, rows].reshape(len(k), -1, a["head_dim"]) for x in (y, q))
            to_v[:, 0, keys] += p.swapaxes(1, 2) @ own
            s = own @ v[:, 0, keys].swapaxes(1, 2)
            s -= np.einsum("hij,hij->hi", p, s)[:, :, None]
            s *= p
            if t is not None:
                s *= 1 - t * t
            s *= a["scale"]
            to_q[:, :, rows] = (s @ k[:, 0, keys]).reshape(to_q[:, :, rows].shape)
            to_k[:, 0, keys] += s.swapaxes(1, 2) @ asked
        return _rows(to_q), _rows(to_k), _rows(to_v)


def _heads(x: Array, a: Attributes) -> Array:
    """(tokens, width) as (key-value heads, query heads to each, tokens, head_dim); one to each for keys and values."""
    return x.reshape(len(x), a["kv_heads"], -1, a["head_dim"]).transpose(1, 2, 0, 3)


def _rows(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(2, 0, 1, 3)).reshape(x.shape[2], -1)


def _blocks(a: Attributes, n: int) -> Iterator[tuple[slice, slice]]:
    """Some queries at a time, and the keys that at least one of them sees."""
    for start in range(0, n, QUERIES):
        end = min(n, start + QUERIES)
        yield slice(start, end), slice(max(0, start + 1 - a["window"]) if a["window"] else 0, end)


def _scores(a: Attributes, q: Array, k: Array, rows: slice, keys: slice) -> tuple[Array, Array | None]:
    """Weights of attention (kv heads, heads to each * queries, keys), and the tanh of a softcap.

    `q` is (kv heads, heads to each, queries, head_dim), `k` (kv heads, keys, head_dim).
    """
    s = q.reshape(len(k), -1, a["head_dim"]) @ k.swapaxes(1, 2)
    s *= a["scale"]
    t = np.tanh(s / a["softcap"]) if a["softcap"] else None
    if t is not None:
        s = t * a["softcap"]
    behind = np.arange(rows.start, rows.stop)[:, None] - np.arange(keys.start, keys.stop)
    hidden = (behind < 0) | (behind >= a["window"]) if a["window"] else behind < 0
    grid = s.reshape(*q.shape[:3], -1)
    grid += np.where(hidden, -np.inf, 0).astype(s.dtype)
    s -= s.max(axis=-1, keepdims=True)
    np.exp(s, out=s)
    s /= s.sum(axis=-1, keepdims=True)
    return s, t
