"""The states of delta rules and scans, over a whole text: in chunks of tokens that are computed together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bitwright.kernels.ops.declaration import Array

RUN = 16  # floats in whose multiples the values of a head are kept (attention.h: kKeyGroup)
CHUNK = 64  # tokens of a text that are computed together


def state_floats(heads: int, key_dim: int, value_dim: int) -> int:
    """Floats of the matrices (key_dim, value_dim) that the heads keep."""
    return heads * key_dim * -(-value_dim // RUN) * RUN


def chunks(q: Array, k: Array, v: Array, decays: Array, shares: Array, corrects: bool) -> list[Chunk]:
    """Those of a text, in order; for the arrays see Chunk."""
    found: list[Chunk] = []
    state = np.zeros((len(q), q.shape[2], v.shape[2]), q.dtype)
    for start in range(0, q.shape[1], CHUNK):
        own = slice(start, start + CHUNK)
        found.append(Chunk(q[:, own], k[:, own], v[:, own], decays[:, own], shares[:, own], state, corrects))
        state = found[-1].after
    return found


def outputs(found: Sequence[Chunk]) -> Array:
    """What the heads return (tokens, heads * value_dim)."""
    return by_token(np.concatenate([chunk.y for chunk in found], axis=1))


def gradients(found: Sequence[Chunk], y: Array) -> Sequence[Array]:
    """From the gradient of `outputs`, those of q, k, v, decays and shares, in the shapes that `chunks` takes."""
    heads, _, width = found[0].v.shape
    to_y, to_state = y.reshape(len(y), heads, width).swapaxes(0, 1), np.zeros_like(found[0].state)
    parts: list[Sequence[Array]] = []
    for number in reversed(range(len(found))):
        *own, to_state = found[number].gradient(to_y[:, number * CHUNK : (number + 1) * CHUNK], to_state)
        parts.append(own)
    return [np.concatenate(part, axis=1) for part in zip(*reversed(parts), strict=True)]


def by_token(x: Array) -> Array:
    """(heads, tokens, width) as (tokens, heads * width)."""
    return np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape[1], -1)


class Chunk:
    """Some tokens of a text, all heads together: q, k (heads, tokens, key_dim), v, decays and shares (heads, tokens)
    and the state before them. `y` (heads, tokens, value_dim) and the state `after` them come from products of matrices,
    as in native/kernels/recurrent.inl. Unless it `corrects`, what is known for a key does not change what is written.
    """

    def __init__(
        self, q: Array, k: Array, v: Array, decays: Array, shares: Array, state: Array, corrects: bool
    ) -> None:
        self.q, self.k, self.v, self.shares, self.state, self.corrects = q, k, v, shares, state, corrects
        sums = np.cumsum(decays, axis=1)
        between = np.where(np.tri(sums.shape[1], dtype=bool), sums[:, :, None] - sums[:, None], -np.inf)
        self.between = np.exp(between).astype(q.dtype)  # what is left at token t of what token s <= t wrote
        self.whole, self.left = np.exp(sums)[..., None], self.between[:, -1, :, None]
        self.keys, self.asked = corrects * (k @ k.swapaxes(1, 2)), q @ k.swapaxes(1, 2)
        self.known, self.read = corrects * (k @ state), q @ state
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
        to_system = -self.corrects * np.tril(to_right @ self.change.swapaxes(1, 2), -1)
        to_known = -self.corrects * shares * self.whole * to_right
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
