"""Compares what the executor stores and returns with the oracle, within the error of float32 arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from checks import U, within
from numpy.typing import ArrayLike, DTypeLike, NDArray
from random_models import Weights
from running import Running

from bitwright.kernels import Oracle, Step
from bitwright.kernels.memory import PAGE
from bitwright.kernels.ops.declaration import Array


class FloatError:
    """The error of a step's logits, and of each layer's keys and values, in float32 arithmetic.

    Rounding to float16 is a step function. If a key or value is within the float32 error of a midpoint of two float16
    values, the order of a sum decides which of them it becomes. A few of a model's thousands do this. Each is then off
    by a whole float16 step (at least 2**-11, relative, where float32's is 2**-24), and moves the logits 10 to 250 times
    as much as all float32 arithmetic does. No multiple of one run's error bounds another's, since other keys flip in
    each run. So the two are checked separately, and both bounds are smooth:

    - A stored key or value must be the rounding of some number within the float32 error of the exact one. Rounding is
      monotonic, so it lies between the rounded ends of that range; nearly always these are the same float16.
    - Logits must be the exact ones for the keys and values that the executor stored, up to the float32 error.

    The float32 error is the largest error of NumPy's float32 in four runs with the same cache: first with the weights
    unchanged, then with each weight off by 2 roundings at random, which adds as much error as the sums have. The
    executor may be off by 4 times that: its sums round as often as NumPy's in another order, but its exp and tanh are
    off by up to 12 roundings (test_elementwise_ops) where NumPy's are off by one or two, and soft caps multiply that.
    """

    def __init__(self, step: Step, weights: Weights, tokens: ArrayLike) -> None:
        self.step, self.weights = step, weights
        own = GivenCache(step, weights)
        exact = own.run(*whole(tokens))
        rng, self.logits, self.stored = np.random.default_rng(1), 1e-6, [0.0] * len(own.stored)
        for off in (0, 2 * U, 2 * U, 2 * U):
            moved = {n: w * (1 + off * rng.choice([-1, 1], w.shape)).astype(np.float32) for n, w in weights.items()}
            rounded = GivenCache(step, moved, own.stored, np.float32)
            self.logits = max(self.logits, largest(rounded.run(*whole(tokens)) - exact))
            errors = [largest(x - y) for x, y in zip(rounded.computed, own.computed, strict=True)]
            self.stored = [max(pair) for pair in zip(self.stored, errors, strict=True)]

    def check(self, own: Running, sequence: int, tokens: ArrayLike, logits: NDArray[np.float32]) -> None:
        """Asserts that a sequence of `tokens` (n,) holds the right keys and values, and that `logits` (m, vocabulary)
        are those of its last m tokens."""
        within(logits, self.exact(own, sequence, tokens)[-len(logits) :], 4 * self.logits)

    def exact(self, own: Running, sequence: int, tokens: ArrayLike, begin: int = 0) -> Array:
        """The logits (n - begin, vocabulary) of a sequence's `tokens` (n,) from `begin` on, exact for the keys and
        values it holds. Asserts that those from `begin` on are right."""
        held, (ids, where, slots, _) = stored_by(own, sequence), whole(tokens)
        exact = GivenCache(self.step, self.weights, [x[begin:] for x in held])
        for layer, shape in enumerate(own.program.layers):
            values = held[2 * layer + 1][..., : shape.latent or None]
            exact.cache[layer, 0] = (list(held[2 * layer][:begin]), list(values[:begin]))
        logits = exact.run(ids[begin:], where[begin:], slots[begin:], where[begin:] - begin)
        for x, got, error in zip(exact.computed, exact.stored, self.stored, strict=True):
            within(got, np.clip(got, half(x - 4 * error), half(x + 4 * error)), 0)
        return logits


class RandomSteps:
    """Steps that give random tokens to several sequences of `own` at once, each checked within `error`."""

    def __init__(self, own: Running, error: FloatError, random: np.random.Generator) -> None:
        self.own, self.error, self.random = own, error, random
        self.tokens: list[list[int]] = [[] for _ in own.lengths]

    def run(self, starts: dict[int, int], most: int) -> None:
        """One step of 1 to `most` tokens of each sequence, from the position in `starts` on, with some logits of it."""
        read = []
        for slot, start in starts.items():
            end = min(start + self.random.integers(1, most + 1), self.own.memory.context)
            self.tokens[slot][start:] = self.random.integers(0, 101, end - start).tolist()
            read += [(self.tokens[slot][position], position, slot) for position in range(start, end)]
        outputs = self.random.permutation(len(read))[: self.random.integers(1, 4)]
        got = self.own.run(*zip(*read, strict=True), outputs)
        expected = [self.error.exact(self.own, slot, self.tokens[slot], start) for slot, start in starts.items()]
        within(got, np.concatenate(expected)[outputs], 4 * self.error.logits)
        assert self.own.lengths == [len(tokens) for tokens in self.tokens]


class GivenCache(Oracle):
    """The oracle with `stored` in place of the keys and values that it computes, which go to `computed`. Both are lists
    of (positions, kv_heads, head_dim): the keys and the values of each layer. The default of `stored` is `computed` as
    float16. Runs once."""

    def __init__(
        self, step: Step, weights: Weights, stored: list[Array] | None = None, dtype: DTypeLike = np.float64
    ) -> None:
        super().__init__(step, weights, dtype)
        self.given, self.stored, self.computed = stored is not None, list(stored or ()), list[Array]()

    def _stored(self, x: Array) -> Array:
        if not self.given:
            self.stored.append(half(x))
        self.computed.append(x)
        return self.stored[len(self.computed) - 1].astype(self.dtype)


def stored_by(own: Running, sequence: int) -> list[Array]:
    """Keys and values (positions, kv_heads, head_dim) of each layer as a float16 memory holds them, in float64; zeros
    where a layer with a window has forgotten them. Of a latent layer keys, and again keys.

    The layout of `Memory.save` and of a page is that of sequence_memory.cpp and attention.h.
    """
    raw = own.memory.save(sequence)
    raw = raw[np.flatnonzero(raw == 0)[0] + 1 :]  # the layout in words ends in a zero

    def take(dtype: DTypeLike, *shape: int) -> Array:
        nonlocal raw
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        found, raw = raw[:size].copy().view(dtype).reshape(shape), raw[size:]
        return found

    length = int(take(np.int64, 1)[0])
    windows = [layer.window if layer.window < own.memory.context else 0 for layer in own.program.layers]
    pages: list[list[tuple[Array, Array]]] = [[] for _ in windows]
    for window in dict.fromkeys(windows):
        first = int(take(np.int64, 1)[0])
        for layer, found, seen in zip(own.program.layers, pages, windows, strict=True):
            if seen == window:
                found += [(np.zeros((PAGE, layer.kv_heads, layer.head_dim)),) * 2] * first
        for _ in range(first, -(-length // PAGE)):
            for layer, found, seen in zip(own.program.layers, pages, windows, strict=True):
                if seen == window:
                    heads, dim = layer.kv_heads, layer.head_dim
                    keys = take(np.float16, heads, PAGE // 16, dim, 16).transpose(1, 3, 0, 2).reshape(PAGE, heads, dim)
                    if layer.latent:
                        found.append((keys, keys))
                        continue
                    found.append((keys, take(np.float16, heads, PAGE, -(-dim // 16) * 16)[..., :dim].swapaxes(0, 1)))
    take(np.float32, sum(-(-floats // 16) * 16 for floats in own.program.states))
    assert not raw.size
    return [np.concatenate(x)[:length].astype(np.float64) for layer in pages for x in zip(*layer, strict=True)]


def whole(tokens: ArrayLike) -> tuple[Any, Any, Any, Any]:
    """The arguments of a step that reads the tokens of one sequence and returns the logits after each."""
    n = np.arange(len(np.asarray(tokens)))
    return tokens, n, 0 * n, n


def half(x: Array) -> Array:
    return x.astype(np.float16).astype(np.float64)


def largest(x: Array) -> float:
    return float(np.abs(x).max())
