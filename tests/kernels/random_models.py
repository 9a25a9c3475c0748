"""Small models of random weights, written in the ops' vocabulary, for tests of the executor."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import QuantizedTensor, get
from bitwright.kernels import Buffer, Op, Step
from bitwright.kernels.ops import OPS
from bitwright.kernels.ops.declaration import Count, Layer, Weight, types_of

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
) -> tuple[Step, Weights]:
    """A llama-like model; `gemma` adds what gemma 2 and 3 have: a scaled embedding, norms after each half layer, a norm
    for each head, a window in even layers, soft-capped scores and logits, the gelu."""
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
    for n in range(layers):
        h = norm(x, f"{n}.norm", width)
        q, k = linear(h, f"{n}.q", q_width, width), linear(h, f"{n}.k", kv_width, width)
        v = linear(h, f"{n}.v", kv_width, width)
        if gemma:
            q, k = norm(q, f"{n}.q_norm", head_dim, heads), norm(k, f"{n}.k_norm", head_dim, kv_heads)
        q = s.rope(q, heads, head_dim, frequencies, interleaved)
        k = s.rope(k, kv_heads, head_dim, frequencies, interleaved)
        seen, cap = (window if n % 2 == 0 else None, 20.0) if gemma else (None, None)
        h = s.attention(q, k, v, n, heads, kv_heads, head_dim, head_dim**-0.5, seen, cap)
        if n == layers - 1:
            x, h = s.select(x), s.select(h)
        h = linear(h, f"{n}.output", width, q_width)
        x = s.add(x, norm(h, f"{n}.after", width) if gemma else h)
        h = norm(x, f"{n}.forward_norm", width)
        gate, up = linear(h, f"{n}.gate", feed_forward, width), linear(h, f"{n}.up", feed_forward, width)
        h = linear(s.glu(gate, up, "gelu_tanh" if gemma else "silu"), f"{n}.down", width, feed_forward)
        x = s.add(x, norm(h, f"{n}.forward_after", width) if gemma else h)
    y = s.linear(norm(x, "last_norm", width), "embedding")
    s.logits(s.softcap(y, 10.0) if gemma else y)
    return s, weights


MODELS: dict[str, dict[str, Any]] = {
    "llama": {"interleaved": True},
    "gemma": {"gemma": True, "seed": 1, "head_dim": 20, "width": 40},
    "biases, no shared heads": {"bias": True, "heads": 3, "kv_heads": 3, "seed": 2, "feed_forward": 33, "width": 31},
    "head of 64, partial rotary": {"head_dim": 64, "heads": 3, "kv_heads": 1, "rotary_dim": 24, "seed": 3, "layers": 3},
    "wide head": {"head_dim": 256, "heads": 2, "kv_heads": 1, "seed": 4, "layers": 1, "gemma": True},
}

SEEDS = range(8)


class RandomOps:
    """A step that grows by ops with fields drawn by their types. Buffers are `width` or `kv_width` wide."""

    def __init__(self, seed: int, vocabulary: int = 101) -> None:
        self.rng = np.random.default_rng(seed)
        self.kv_heads, self.head_dim = int(self.rng.integers(1, 4)), 2 * int(self.rng.integers(2, 9))
        self.heads = self.kv_heads * int(self.rng.integers(1, 4))
        self.width, self.kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.step, self.weights, self.unread = Step(), Weights(), dict[Buffer, int]()
        self.known = {self.step.embed(self.weight(vocabulary, self.width)): self.width}

    def weight(self, *shape: int) -> str:
        name, scale = f"w{len(self.weights)}", shape[-1] ** -0.5 if len(shape) > 1 else 1.0
        self.weights[name] = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        return name

    def buffer(self, width: int) -> Buffer:
        """One of the known buffers of this width, or a product of another."""
        fitting = [b for b, own in self.known.items() if own == width]
        if fitting:
            found = fitting[self.rng.integers(len(fitting))]
        else:
            x = next(iter(self.known))
            self.unread.pop(x, None)
            found = self.step.linear(x, self.weight(width, self.known[x]))
            self.known[found] = width
        self.unread.pop(found, None)
        return found

    def grow(self, op: type[Op]) -> None:
        """Appends an op, its norm where it could grow without bound."""
        arguments = {name: self.draw(op, name, types) for name, types in types_of(op.kind).items()}
        x = self.step.append(op(**arguments))
        if op.kind in ("glu", "scale"):
            x = self.step.rms_norm(x, self.weight(self.width), 1e-5)
        self.known[x] = self.unread[x] = self.width

    def draw(self, op: type[Op], name: str, types: tuple[Any, ...]) -> Any:
        if type(None) in types and self.rng.random() < 0.5:
            return None
        sizes = {"heads": self.heads, "kv_heads": self.kv_heads, "head_dim": self.head_dim}
        shapes = {"rms_norm": (self.head_dim,), "linear": (self.width, self.width)}
        if get_origin(types[0]) is Literal:
            return self.rng.choice(get_args(types[0]))
        kinds = {
            Buffer: lambda: self.buffer(self.kv_width if name in ("k", "v") else self.width),
            Weight: lambda: self.weight(self.width) if name == "bias" else self.weight(*shapes[op.kind]),
            Count: lambda: sizes.get(name, 3),
            Layer: lambda: len(self.step.layers),
            float: lambda: self.rng.uniform(0.3, 1.5),
            bool: lambda: self.rng.random() < 0.5,
        }
        return kinds.get(types[0], lambda: 10.0 ** -np.arange(self.head_dim // 2 - 1))()

    def join(self) -> Buffer:
        """The sum of all buffers that nothing reads yet."""
        first, *others = self.unread or [self.buffer(self.width)]
        for x in others:
            first = self.step.add(first, x)
        self.unread = {}
        return first


def random_ops(seed: int, length: int = 12) -> tuple[Step, Weights]:
    """A step of ops drawn from all that are declared; the logits are (outputs, width)."""
    made = RandomOps(seed)
    ops = [op for op in OPS.values() if op.kind not in ("embed", "select")]
    for _ in range(length):
        made.grow(ops[made.rng.integers(len(ops))])
    x = made.step.select(made.join())
    made.known, made.unread = {x: made.width}, {x: made.width}
    ops = [op for op in ops if not op.all_tokens]
    for _ in range(length // 3):
        made.grow(ops[made.rng.integers(len(ops))])
    made.step.logits(made.join())
    return made.step, made.weights
