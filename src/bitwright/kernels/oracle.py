"""A step in plain NumPy, the reference for the native executor. Slow and short; float64 by default."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitwright import formats
from bitwright.kernels.ops.declaration import Array, Cache, Call, StateKey
from bitwright.kernels.ops.step import Step


class Oracle:
    """Runs `step` on float weights, and keeps the keys and values of each (layer, sequence) in `cache`, and `states`.

    With `kv`, it rounds them to that format, as the native cache does.
    """

    def __init__(
        self, step: Step, weights: Mapping[str, ArrayLike], dtype: DTypeLike = np.float64, kv: str | None = None
    ) -> None:
        self.step, self.dtype, self.kv = step, dtype, kv
        self.weights = {name: np.asarray(w, dtype=dtype) for name, w in weights.items()}
        self.cache: Cache = {}
        self.states: dict[StateKey, Array] = {}

    def run(
        self,
        tokens: ArrayLike,
        positions: ArrayLike,
        sequences: ArrayLike,
        outputs: ArrayLike,
        hidden: Array | None = None,
    ) -> Array:
        """Logits (m, vocabulary) of tokens `outputs` (m,); tokens, positions and sequences are (n,)."""
        ids, where = np.asarray(tokens), (np.asarray(positions), np.asarray(sequences))
        chosen = np.asarray(outputs, dtype=np.intp)
        call = Call(self.dtype, ids, *where, chosen, self.cache, self.states, self._stored, hidden)
        values: list[Array] = []
        for op in self.step.ops:
            weights = [self.weights[name][ids if op.looks_up else ...] for name in op.weights]
            values.append(op.meaning(call, *(values[b.id] for b in op.inputs), *weights))
        assert self.step.result is not None
        return values[self.step.result.id]

    def _stored(self, x: Array) -> Array:
        return cached(x, self.kv).astype(self.dtype) if self.kv else x


def cached(x: Array, kv: str) -> NDArray[np.float32]:
    """x (..., head_dim) as a cache of format `kv` returns it: zeros fill a head's last block."""
    format, width = formats.get(kv), x.shape[-1]
    whole = np.pad(x.astype(np.float32), [(0, 0)] * (x.ndim - 1) + [(0, -width % format.block_size)])
    return format.dequantize(format.quantize(whole))[..., :width]
