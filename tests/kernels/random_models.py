"""Small models with random weights, built from ops, for tests of the executor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import QuantizedTensor, get
from bitwright.kernels import Step

Weights = dict[str, NDArray[np.float32]]


def stored(weights: Weights) -> dict[str, QuantizedTensor]:
    """The same weights as float32 tensors."""
    f32 = get("f32")
    return {n: QuantizedTensor(n, w.shape, f32, np.ascontiguousarray(w).view(np.uint8)) for n, w in weights.items()}


def random_model(
    seed: int = 0,
    width: int = 48,
    heads: int = 6,
    kv_heads: int = 2,
    head_dim: int = 8,
    feed_forward: int = 80,
    vocabulary: int = 101,
    layers: int = 2,
    gemma: bool = False,
    bias: bool = False,
    interleaved: bool = False,
    window: int = 5,
    rotary_dim: int | None = None,
    shared: int = 0,
) -> tuple[Step, Weights]:
    """A llama-like model. `gemma` adds features of Gemma 2 and 3: a scaled embedding, norms after each half layer, a
    norm per head, a window in even layers, soft-capped scores and logits, and gelu. With `shared`, as in Gemma 4, the
    last so many layers use the keys and values of earlier ones, and all add a second embedding."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}

    def w(name: str, *shape: int) -> str:
        scale = shape[-1] ** -0.5 if len(shape) > 1 else 1.0
        weights[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
        return name

    def norm(x: Any, name: str, size: int, heads: int = 1) -> Any:
        return s.rms_norm(x, w(name, size), 1e-6, heads)

    def linear(x: Any, name: str, rows: int, columns: int) -> Any:
        return s.linear(x, w(name, rows, columns), w(name + ".bias", rows) if bias else None)

    s = Step()
    q_width, kv_width = heads * head_dim, kv_heads * head_dim
    half = (rotary_dim or head_dim) // 2
    frequencies = 10000.0 ** (-np.arange(half) / half)
    x = s.embed(w("embedding", vocabulary, width), width**0.5 if gemma else 1.0)
    second, kept = s.embed(w("second", vocabulary, width)) if shared else None, dict[Any, tuple[Any, Any, int]]()
    for n in range(layers):
        s.begin_layer(x)
        h = norm(x, f"{n}.norm", width)
        seen, cap = (window if n % 2 == 0 else None, 20.0) if gemma else (None, None)
        q = linear(h, f"{n}.q", q_width, width)
        if gemma:
            q = norm(q, f"{n}.q_norm", head_dim, heads)
        q = s.rope(q, heads, head_dim, frequencies, interleaved)
        if n < layers - shared:
            k, v = linear(h, f"{n}.k", kv_width, width), linear(h, f"{n}.v", kv_width, width)
            if gemma:
                k = norm(k, f"{n}.k_norm", head_dim, kv_heads)
            kept[seen] = s.rope(k, kv_heads, head_dim, frequencies, interleaved), v, n
        h = s.attention(q, *kept[seen], heads, kv_heads, head_dim, head_dim**-0.5, seen, cap)
        if n == layers - 1:
            x, h, second = s.select(x), s.select(h), second and s.select(second)
        if second is not None:
            x = s.add(x, second)
        h = linear(h, f"{n}.output", width, q_width)
        x = s.add(x, norm(h, f"{n}.after", width) if gemma else h)
        h = norm(x, f"{n}.forward_norm", width)
        gate, up = linear(h, f"{n}.gate", feed_forward, width), linear(h, f"{n}.up", feed_forward, width)
        h = linear(s.glu(gate, up, "gelu_tanh" if gemma else "silu"), f"{n}.down", width, feed_forward)
        x = s.add(x, norm(h, f"{n}.forward_after", width) if gemma else h)
    y = s.linear(norm(x, "last_norm", width), "embedding")
    s.logits(s.softcap(y, 10.0) if gemma else y)
    return s, weights


def random_hybrid(
    seed: int = 0,
    width: int = 40,
    key_heads: int = 2,
    key_dim: int = 12,
    heads: int = 4,
    value_dim: int = 20,
    taps: int = 4,
    tiled: bool = True,
    scans: bool = False,
    vocabulary: int = 101,
    layers: int = 3,
) -> tuple[Step, Weights]:
    """Delta nets, with one layer of attention between them; or scans in place of delta rules."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}

    def w(name: str, *shape: int) -> str:
        scale = shape[-1] ** -0.5 if len(shape) > 1 else 1.0
        weights[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
        return name

    s = Step()
    x = s.embed(w("embedding", vocabulary, width))
    for n in range(layers):
        s.begin_layer(x)
        h = s.rms_norm(x, w(f"{n}.norm", width), 1e-6)
        if n == 1:
            q, k, v = (s.linear(h, w(f"{n}.{name}", width, width)) for name in "qkv")
            h = s.attention(q, k, v, n, 2, 2, width // 2, 0.2)
        else:
            total = 2 * key_heads * key_dim + heads * value_dim
            of_channels = w(f"{n}.taps", total, taps), n, "silu", w(f"{n}.channels", total) if scans else None
            qkv = s.convolution(s.linear(h, w(f"{n}.qkv", total, width)), *of_channels)
            alphas, betas = (s.linear(h, w(f"{n}.{name}", heads, width)) for name in ("alpha", "beta"))
            decays = s.decay(alphas, w(f"{n}.bias", heads), w(f"{n}.rates", heads))
            weights[f"{n}.rates"] = -np.abs(weights[f"{n}.rates"])
            shape = n, key_heads, key_dim, heads, value_dim
            if scans:
                h = s.scan(qkv, decays, s.decay(betas, f"{n}.bias"), w(f"{n}.skip", heads, 1), *shape)
            else:
                h = s.delta_rule(qkv, decays, betas, *shape, tiled)
            z = s.linear(s.rms_norm(x, f"{n}.norm", 1e-6), w(f"{n}.z", heads * value_dim, width))
            h = s.glu(z, s.rms_norm(h, w(f"{n}.value_norm", value_dim), 1e-6, heads))
        if n == layers - 1:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, w(f"{n}.output", width, width if n == 1 else heads * value_dim)))
    s.logits(s.linear(s.rms_norm(x, w("last_norm", width), 1e-6), "embedding"))
    return s, weights


MODELS: dict[str, dict[str, Any]] = {
    "llama": {"interleaved": True},
    "gemma": {"gemma": True, "seed": 1, "head_dim": 20, "width": 40},
    "biases, no shared heads": {"bias": True, "heads": 3, "kv_heads": 3, "seed": 2, "feed_forward": 33, "width": 31},
    "head of 64, partial rotary": {"head_dim": 64, "heads": 3, "kv_heads": 1, "rotary_dim": 24, "seed": 3, "layers": 3},
    "shared keys": {"gemma": True, "seed": 5, "layers": 4, "shared": 2},
    "wide head": {"head_dim": 256, "heads": 2, "kv_heads": 1, "seed": 4, "layers": 1, "gemma": True},
}
