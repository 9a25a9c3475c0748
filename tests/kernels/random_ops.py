"""Steps of random ops, drawn from all declared ones, so that a new op is tested as soon as it exists."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import numpy as np
from kernels.random_models import Weights

from bitwright.kernels import Buffer, Op, Step
from bitwright.kernels.ops import OPS
from bitwright.kernels.ops.declaration import Count, Layer, Weight, types_of

SEEDS = range(11, 20)
MIXTURE = ("route", "reweigh", "experts", "combine")  # drawn together
RECURRENT = ("convolution", "decay", "delta_rule", "scan")  # too


class RandomOps:
    """A step that grows by ops whose fields are drawn by type. Buffers have width `width` or `kv_width`."""

    def __init__(self, seed: int, vocabulary: int = 101) -> None:
        self.rng = np.random.default_rng(seed)
        self.kv_heads, self.head_dim = int(self.rng.integers(1, 4)), 2 * int(self.rng.integers(3, 9))
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
        """Appends an op, a product if it is no longer `width` wide, and a norm if its values could grow without
        bound."""
        if op.kind in MIXTURE:
            x, width = self.mixture(), self.width
        elif op.kind == "every":
            x, width = self.heads_apart(), self.width
        elif op.kind in RECURRENT:
            x, width = self.recurrent(), self.width
        else:
            made = op(**{name: self.draw(op, name, types) for name, types in types_of(op.kind).items()})
            x, weights = self.step.append(made), [self.weights[name].shape for name in made.weights]
            width = made.width([self.known[b] for b in made.inputs], weights)
        if width != self.width:
            x = self.step.linear(x, self.weight(self.width, width))
        if op.kind in ("glu", "scale", "temperature"):
            x = self.step.rms_norm(x, self.weight(self.width), 1e-5)
        self.known[x] = self.unread[x] = self.width

    def mixture(self) -> Buffer:
        """A mixture of 6 experts: of the widths of its products and choices, no other op takes any."""
        inside, used = int(self.rng.integers(1, 40)), int(self.rng.integers(1, 4))
        logits = self.step.linear(self.buffer(self.width), self.weight(6, self.width))
        scoring, biased = self.rng.choice(["softmax", "sigmoid", "share"]), self.rng.random() < 0.5
        bias = self.weight(6) if biased and scoring == "sigmoid" else None
        groups = self.rng.choice([(1, 1), (2, 1), (3, 2)])
        choices = self.step.route(logits, used, self.rng.uniform(0.3, 1.5), scoring, bias, *map(int, groups))
        x, first = self.buffer(self.width), self.weight(6, inside, self.width)
        h = self.step.experts(x, choices, first, self.weight(6, inside) if biased else None)
        h = self.step.experts(h, choices, self.weight(6, self.width, inside))
        return self.step.combine(h, self.step.reweigh(choices, self.weight(6)))

    def heads_apart(self) -> Buffer:
        """A product of every head with a matrix of its own."""
        x, rows = self.buffer(self.width), int(self.rng.integers(1, 40))
        h = self.step.experts(x, self.step.every(x, self.heads), self.weight(self.heads, rows, self.head_dim))
        return self.step.linear(h, self.weight(self.width, self.heads * rows))

    def recurrent(self) -> Buffer:
        """A convolution, and a delta rule or a scan, of any widths."""
        key_heads, repeat, key_dim, taps = (int(self.rng.integers(1, most)) for most in (3, 4, 20, 5))
        heads, value_dim, layer, x = (
            key_heads * repeat,
            int(self.rng.integers(1, 40)),
            len(self.step.states),
            self.width,
        )
        total = 2 * key_heads * key_dim + heads * value_dim
        rates = self.weight(heads)
        self.weights[rates] = -np.abs(self.weights[rates])
        qkv, alphas, betas = (self.step.linear(self.buffer(x), self.weight(rows, x)) for rows in (total, heads, heads))
        activation = self.rng.choice(["silu", ""]) or None
        bias = self.weight(total) if self.rng.random() < 0.5 else None
        qkv = self.step.convolution(qkv, self.weight(total, taps + 1), layer, activation, bias)
        decays = self.step.decay(alphas, self.weight(heads), rates)
        shape = layer, key_heads, key_dim, heads, value_dim
        scans, tiled = self.rng.random(2) < 0.5
        if scans:
            steps, skip = self.step.decay(betas, self.weight(heads)), self.weight(heads)
            mixed = self.step.rms_norm(self.step.scan(qkv, decays, steps, skip, *shape), None, 1e-5)
        else:
            mixed = self.step.delta_rule(qkv, decays, betas, *shape, tiled=tiled)
        return self.step.linear(mixed, self.weight(x, heads * value_dim))

    def draw(self, op: type[Op], name: str, types: tuple[Any, ...]) -> Any:
        if name == "v":
            self.latent = 5 if self.rng.random() < 0.5 else None
            return self.buffer(self.kv_width) if self.latent is None else None
        if name == "latent":
            return self.latent
        if type(None) in types and self.rng.random() < 0.5:
            return None
        sizes = {"heads": self.heads, "kv_heads": self.kv_heads, "head_dim": self.head_dim, "slices": self.heads}
        shapes = {"rms_norm": (self.head_dim,), "linear": (self.width, self.width), "attention": (self.heads,),
                  "scale": (1,), "gate": (self.width,)}  # fmt: skip
        if get_origin(types[0]) is Literal:
            return self.rng.choice(get_args(types[0]))
        kinds = {
            Buffer: lambda: self.buffer(self.kv_width if name == "k" else self.width),
            Weight: lambda: self.weight(self.width) if name == "bias" else self.weight(*shapes[op.kind]),
            Count: lambda: sizes.get(name, 3),
            Layer: lambda: len(self.step.caches),
            int: lambda: 2,
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


def random_ops(seed: int, length: int = 18) -> tuple[Step, Weights]:
    """A step of ops drawn from all declared ones; the logits are (outputs, width)."""
    made = RandomOps(seed)
    ops = [op for op in OPS.values() if op.kind not in ("embed", "hidden", "select")]  # hidden: test_cuts.py
    for _ in range(length):
        made.grow(ops[made.rng.integers(len(ops))])
    x = made.step.select(made.join())
    made.known, made.unread = {x: made.width}, {x: made.width}
    ops = [op for op in ops if not op.all_tokens and op.kind not in RECURRENT]
    for _ in range(length // 3):
        made.grow(ops[made.rng.integers(len(ops))])
    made.step.logits(made.join())
    return made.step, made.weights
