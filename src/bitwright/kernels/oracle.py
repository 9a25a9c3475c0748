"""A step in plain NumPy: what the native executor is tested against. Slow, short, in float64 unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitwright import formats
from bitwright.kernels.ops import Step

Array = NDArray[Any]


class Operations:
    """Every op but attention, by its name with `_` before: attributes, inputs (tokens, width) and weights to a result.

    `tokens` and `positions` (n,) and `outputs` (m,) are those of the call, `dtype` what is computed in.
    """

    dtype: DTypeLike
    tokens: NDArray[Any]
    positions: NDArray[Any]
    outputs: NDArray[np.intp]

    def _embed(self, a: Mapping[str, Any], weight: Array) -> Array:
        return weight[self.tokens] * a["scale"]

    def _rms_norm(self, a: Mapping[str, Any], x: Array, weight: Array) -> Array:
        h = x.reshape(len(x), a["heads"], -1)
        return (h / np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + a["eps"]) * weight).reshape(x.shape)

    def _linear(self, a: Mapping[str, Any], x: Array, weight: Array, bias: Array | None = None) -> Array:
        y = x @ weight.T
        return y if bias is None else y + bias

    def _rope(self, a: Mapping[str, Any], x: Array) -> Array:
        h = x.reshape(len(x), a["heads"], a["head_dim"]).copy()
        half = len(a["inverse_frequencies"])
        angles = self.positions[:, None, None] * a["inverse_frequencies"].astype(np.float64)
        turn = (np.exp(1j * angles) * a["magnitude"]).astype(np.result_type(self.dtype, np.complex64))
        first = slice(0, 2 * half, 2) if a["interleaved"] else slice(0, half)
        second = slice(1, 2 * half, 2) if a["interleaved"] else slice(half, 2 * half)
        turned = (h[..., first] + 1j * h[..., second]) * turn
        h[..., first], h[..., second] = turned.real, turned.imag
        return h.reshape(x.shape)

    def _glu(self, a: Mapping[str, Any], gate: Array, up: Array) -> Array:
        if a["activation"] == "silu":
            return gate / (1 + np.exp(-gate)) * up
        return 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))) * up

    def _add(self, a: Mapping[str, Any], x: Array, y: Array) -> Array:
        return x + y

    def _scale(self, a: Mapping[str, Any], x: Array) -> Array:
        return x * a["factor"]

    def _softcap(self, a: Mapping[str, Any], x: Array) -> Array:
        return a["cap"] * np.tanh(x / a["cap"])

    def _select(self, a: Mapping[str, Any], x: Array) -> Array:
        return x[self.outputs]


class Oracle(Operations):
    """Runs `step` on float weights, and keeps keys and values of each (layer, sequence) as they came.

    `kv` rounds them to that format, as the native cache does.
    """

    def __init__(
        self, step: Step, weights: Mapping[str, ArrayLike], dtype: DTypeLike = np.float64, kv: str | None = None
    ) -> None:
        self.step, self.dtype, self.kv = step, dtype, kv
        self.weights = {name: np.asarray(w, dtype=dtype) for name, w in weights.items()}
        self.cache: dict[tuple[int, int], tuple[list[Array], list[Array]]] = {}

    def run(self, tokens: ArrayLike, positions: ArrayLike, sequences: ArrayLike, outputs: ArrayLike) -> Array:
        """Logits (m, vocabulary) of tokens `outputs` (m,); tokens, positions and sequences are (n,)."""
        self.tokens, self.positions = np.asarray(tokens), np.asarray(positions)
        self.sequences, self.outputs = np.asarray(sequences), np.asarray(outputs, dtype=np.intp)
        values: list[Array] = []
        for op in self.step.ops:
            inputs = [values[b.id] for b in op.inputs]
            weights = [self.weights[name] for name in op.weights]
            values.append(getattr(self, f"_{op.kind}")(op.attributes, *inputs, *weights))
        assert self.step.result is not None
        return values[self.step.result.id]

    def _attention(self, a: Mapping[str, Any], q: Array, k: Array, v: Array) -> Array:
        heads, kv_heads, d = a["heads"], a["kv_heads"], a["head_dim"]
        q, k, v = (x.reshape(len(x), -1, d) for x in (q, k, v))
        if self.kv:
            k, v = (cached(x, self.kv).astype(self.dtype) for x in (k, v))
        y = np.empty_like(q)
        for i, (position, sequence) in enumerate(zip(self.positions, self.sequences, strict=True)):
            keys, values = self.cache.setdefault((a["layer"], int(sequence)), ([], []))
            keys[position:], values[position:] = [k[i]], [v[i]]
            start = max(0, position + 1 - a["window"]) if a["window"] else 0
            seen_keys = np.repeat(np.stack(keys[start:]), heads // kv_heads, axis=1)  # (seen, heads, head_dim)
            seen_values = np.repeat(np.stack(values[start:]), heads // kv_heads, axis=1)
            scores = np.einsum("hd,phd->hp", q[i], seen_keys) * a["scale"]
            if a["softcap"]:
                scores = a["softcap"] * np.tanh(scores / a["softcap"])
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            y[i] = np.einsum("hp,phd->hd", weights / weights.sum(axis=1, keepdims=True), seen_values)
        return y.reshape(len(y), heads * d)


def cached(x: Array, kv: str) -> NDArray[np.float32]:
    """x (..., head_dim) as a cache of format `kv` returns it: a head's last block is filled up with zeros."""
    format, width = formats.get(kv), x.shape[-1]
    whole = np.pad(x.astype(np.float32), [(0, 0)] * (x.ndim - 1) + [(0, -width % format.block_size)])
    return format.dequantize(format.quantize(whole))[..., :width]
