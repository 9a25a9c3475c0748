"""Runs programs: one caller's buffers and threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import UsageError
from bitwright.kernels import _native, mapping
from bitwright.kernels.memory import Memory
from bitwright.kernels.program import Program
from bitwright.kernels.schedule import Phase

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


class Executor:
    """Buffers for steps of up to `batch` tokens of one program, and `threads` to run them.

    `threads` defaults to the cores this process may use; executors of one thread count share a pool. One step runs at
    a time. After fork() a child process must make a new executor. Raises UsageError for a number of threads
    or a batch that is out of range.
    """

    def __init__(self, program: Program, batch: int = 512, threads: int | None = None) -> None:
        if not 1 <= batch <= 1 << 20:
            raise UsageError(f"batch must be at least 1 and at most {1 << 20}, got {batch}")
        self.program, self.batch = program, batch
        with _native.allocating(f"the buffers of steps of {batch} tokens: choose a smaller context or batch"):
            self.native = _native.core().Executor(program.native, _native.thread_count(threads), batch)

    @property
    def threads(self) -> int:
        """Threads that run a step."""
        return int(self.native.threads)

    @property
    def bytes(self) -> int:
        """Bytes of activations and scratch."""
        return int(self.native.bytes)

    def run(
        self,
        memory: Memory,
        tokens: ArrayLike,
        positions: ArrayLike,
        sequences: ArrayLike,
        outputs: ArrayLike,
        hidden: Float32 | None = None,
    ) -> Float32:
        """One step: token ids, their positions and their sequences (n,), and the indices (m,) of the tokens whose
        logits to return. Returns logits (m, vocabulary).

        A sequence's positions increase by one from token to token. Its first in a call may lie before its end (0, or
        from `memory.earliest` on) and then replaces everything from there on. More than `batch` tokens run as several
        steps. A program that begins at a layer takes the layer's input `hidden` (n, width) instead of the tokens, and
        one that ends before the head returns a row for every token.
        UsageError names the first token id, position, sequence or output that is out of range; BitwrightError if the
        memory's format cannot hold the computed values.
        """
        t, p, s, o = _ids(tokens), _ids(positions), _ids(sequences), _ids(outputs)
        n = self.batch
        if len(t) <= n and len(o) <= n:
            return self._step(memory, t, p, s, o, hidden)
        if len(o) and (o.min() < 0 or o.max() >= len(t)):
            raise UsageError(f"outputs must lie in 0 to {len(t) - 1}, got {o.min()} to {o.max()}")
        whole = not self.program.result.selected
        parts, order = [], []
        for begin in range(0, len(t), n):
            mine = np.flatnonzero((o >= begin) & (o < begin + n))
            part = slice(begin, begin + n)
            wanted, back = np.unique(o[mine] - begin, return_inverse=True)
            own = None if hidden is None else hidden[part]
            rows = self._step(memory, t[part], p[part], s[part], wanted.astype(np.int32), own)
            parts.append(rows if whole else rows[back])
            order.append(mine)
        rows = np.concatenate(parts)
        return rows if whole else rows[np.argsort(np.concatenate(order), kind="stable")]

    def _step(self, memory: Memory, t: Int32, p: Int32, s: Int32, o: Int32, hidden: Float32 | None) -> Float32:
        floats = None if hidden is None else np.ascontiguousarray(hidden, np.float32)
        result: Float32 = self.native.run(memory.native, t, p, s, o, floats)
        mapping.check()
        return result

    def squares(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """For each product's weight in an observing program: the sums of the squares of its input (matrices, columns),
        and the number of tokens (matrices,), since the executor was made."""
        found = [self.native.squares_of(index) for index in range(len(self.program.observed))]
        sums = [(np.array(values).reshape(len(rows), -1), np.array(rows)) for values, rows in found]
        return {name: own for names, own in zip(self.program.observed, sums, strict=True) for name in names}

    def watch(self) -> None:
        """Measure the time of each phase from now on, starting at zero."""
        self.native.watch()

    def seconds(self) -> list[tuple[Phase, float]]:
        """The phases of a step in order, and the seconds spent in each since `watch`."""
        return list(zip(self.program.phases, (n / 1e9 for n in self.native.nanoseconds), strict=False))


def _ids(values: ArrayLike) -> Int32:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(f"tokens, positions, sequences and outputs are integers (n,), got {array.dtype} {array.shape}")
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise UsageError("token ids, positions, sequences and outputs must fit 32 bits")
    return np.ascontiguousarray(array, dtype=np.int32)
