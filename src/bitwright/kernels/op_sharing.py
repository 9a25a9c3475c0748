"""One op of a text, shared among threads: some rows each, some heads of attention, or some experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bitwright.kernels.ops import Array, Attention, Call, Experts, Op
from bitwright.kernels.sharing import Sharing

ROWS = 32  # the fewest rows a thread gets
BLOCK = 1 << 16  # values of a row by row op at a time, so that what it makes in between stays in the cache

Work = Callable[[Op, Call, list[Array], list[Any]], tuple[Array, ...]]


def shared(sharing: Sharing, op: Op, call: Call, work: Work, arrays: list[Array], weights: list[Any]) -> list[Array]:
    """The results of `work` on `arrays`, the inputs of an op or the gradient of its output before them."""
    if isinstance(op, Experts):
        return _by_experts(sharing, op, call, work, arrays, weights)
    least, count = ROWS, len(arrays[0]) if arrays else 0
    if isinstance(op, Attention):
        least, count = 1, op.kv_heads
    elif not op.by_row:
        least = count or 1  # in one piece

    def share(part: slice) -> list[tuple[Array, ...]]:
        with np.errstate(over="ignore"):  # the exponential of a sigmoid far below zero, which is then zero
            if isinstance(op, Attention):
                own, sinks = ([_of_heads(x, part, count) for x in each] for each in (arrays, weights))
                return [work(op.of_heads(part.stop - part.start), call, own, sinks)]
            if op.by_row:
                step = max(1, BLOCK // max(x.shape[1] for x in arrays))
                starts = range(part.start, part.stop, step)
                blocks = [slice(start, min(start + step, part.stop)) for start in starts]
                return [work(op, some_rows(call, rows), [x[rows] for x in arrays], weights) for rows in blocks]
            return [work(op, call, arrays, weights)]

    done = [piece for pieces in sharing.map(share, count, least) for piece in pieces]
    if len(done) == 1:
        return list(done[0])
    axis = 1 if isinstance(op, Attention) else 0
    return [np.concatenate(pieces, axis=axis) for pieces in zip(*done, strict=True)]


def some_rows(call: Call, rows: slice) -> Call:
    """The call for some rows of a text, as ops that work row by row see it."""
    return replace(call, positions=call.positions[rows])


def _by_experts(
    sharing: Sharing, op: Experts, call: Call, work: Work, arrays: list[Array], weights: list[Any]
) -> list[Array]:
    """No expert's weights are decoded twice; what the threads find adds up."""
    *others, choices = arrays
    chosen = choices[:, : choices.shape[1] // 2]
    experts = np.unique(chosen)

    def share(part: slice) -> tuple[Array, ...]:
        own = choices.copy()
        own[:, : chosen.shape[1]][~np.isin(chosen, experts[part])] = -1
        return work(op, call, [*others, own], weights)

    done = sharing.map(share, len(experts))
    return [sum(pieces[1:], pieces[0]) for pieces in zip(*done, strict=True)]


def _of_heads(x: Array, part: slice, count: int) -> Array:
    """What x (..., columns) holds for `part` of `count` heads."""
    width = x.shape[-1] // count
    return x[..., part.start * width : part.stop * width]
