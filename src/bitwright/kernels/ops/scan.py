"""The selective scan of Mamba 2."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.errors import UsageError
from bitwright.kernels.ops.chunks import Chunk, by_token, chunks, gradients, outputs, state_floats
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Layer, Op, Shape, Weight
from bitwright.kernels.ops.native import Entry, Lowering, Value


@dataclass(eq=False)
class Scan(Op):
    """The selective scan of Mamba 2 (Dao and Gu, https://arxiv.org/abs/2405.21060): a delta rule that does not correct
    what it wrote. For each of `heads`, a state S (key_dim, value_dim) that is zero before the first token:

        S = e^decay S;  S += k ⊗ step v;  y = S'q + skip v

    x holds values (heads, value_dim), keys and queries (key_heads, key_dim): the paper's X, B and C. `decays` and
    `steps` are (tokens, heads), `skip` has `heads` values. Head h has the keys of h // (heads / key_heads).
    """

    x: Buffer
    decays: Buffer
    steps: Buffer
    skip: Weight
    layer: Layer
    key_heads: Count
    key_dim: Count
    heads: Count
    value_dim: Count

    kind = "scan"
    keeps_state = True
    entries = (
        Entry("scan", {"state": "index", "heads": "heads", "key_dim": "head_dim"}, phase="states", weight="vector"),
    )
    all_tokens = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.key_heads:
            raise UsageError(f"scan: {self.heads} heads cannot share {self.key_heads} heads of keys evenly")

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return self.heads * self.value_dim

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        parts = 2 * self.key_heads * self.key_dim + self.heads * self.value_dim
        yield "the widths of x, decays and steps", [parts, self.heads, self.heads], inputs
        yield f"the values of {self.skip}", self.heads, math.prod(shapes[0])

    def state_floats(self, shapes: list[Shape]) -> int:
        return state_floats(self.heads, self.key_dim, self.value_dim)

    def meaning(self, call: Call, x: Array, decays: Array, steps: Array, skip: Array) -> Array:
        (q, k, v), y = self._by_head(x), []
        first = np.zeros((self.heads, self.key_dim, self.value_dim), x.dtype)
        for t, (key, state) in enumerate(self._states(call, first)):
            written = k[:, t, :, None] * (steps[t][:, None] * v[:, t])[:, None]
            call.states[key] = state = state * np.exp(decays[t])[:, None, None] + written
            y.append(np.einsum("hi,hij->hj", q[:, t], state))
        return np.array(y, x.dtype).reshape(len(x), -1) + self._skipped(x, skip)

    def over_text(self, call: Call, *arrays: Array) -> Array:
        x, _, _, skip = arrays
        return outputs(self._chunks(*arrays[:3])) + self._skipped(x, skip)

    def gradient(
        self, call: Call, y: Array, x: Array, decays: Array, steps: Array, skip: Array
    ) -> tuple[Array, Array, Array]:
        q, k, v, to_decays, to_steps = gradients(self._chunks(x, decays, steps), y)
        shared = (self.key_heads, -1, len(x), self.key_dim)
        to_keys, to_queries = (by_token(own.reshape(shared).sum(axis=1)) for own in (k, q))
        to_values = by_token(v) + y * self._each(skip)
        return np.hstack([to_values, to_keys, to_queries]), to_decays.T, to_steps.T

    def _chunks(self, x: Array, decays: Array, steps: Array) -> list[Chunk]:
        return chunks(*self._by_head(x), decays.T, steps.T, corrects=False)

    def _by_head(self, x: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values of every head (heads, tokens, ...)."""
        values, keys = self.heads * self.value_dim, self.key_heads * self.key_dim
        v, k, q = np.split(x, [values, values + keys], axis=1)
        own = (y.reshape(len(x), self.key_heads, self.key_dim).swapaxes(0, 1) for y in (q, k))
        q, k = (np.repeat(y, self.heads // self.key_heads, axis=0) for y in own)
        return q, k, v.reshape(len(x), self.heads, self.value_dim).swapaxes(0, 1)

    def _each(self, skip: Array) -> Array:
        """One number for each value of a token."""
        return np.repeat(skip.reshape(-1), self.value_dim)

    def _skipped(self, x: Array, skip: Array) -> Array:
        own: Array = x[:, : self.heads * self.value_dim] * self._each(skip)
        return own

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        (entry,) = self.entries
        return to.emit(entry, reads, width, self.skip, state=self.state, **self.attributes)
