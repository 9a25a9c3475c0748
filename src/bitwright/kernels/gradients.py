"""A step over one whole text in NumPy, and back: the gradient at the output of every op.

The forward half is the oracle's but for attention, which here takes a text at once and keeps no cache. Each op's
vector-Jacobian product stands under its name with `_back` behind: from the gradient of its output, its inputs and its
weights to the gradients of its inputs. Weights get none: what calibration wants is the gradient at outputs.

The ops are cut wherever a single buffer is all that later ops read (the residual stream, twice a layer). Forward, that
buffer is kept for every part, and what lies between while it fits `memory`; backward, the other parts are run again.
So memory holds one part of a model, and weights are asked for as they are needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bitwright.kernels.ops import Buffer, Op, Step
from bitwright.kernels.oracle import Operations
from bitwright.kernels.sharing import Sharing

Array = NDArray[Any]
Attributes = Any  # of an op: a mapping
Values = dict[int, Array]  # by the id of a buffer
Weight = Callable[[str, Array | None], Array]  # a weight by name, or some of its rows
Visit = Callable[[Op, list[Array], Array | None], None]  # an op, its inputs, the gradient of its output

QUERIES = 128  # rows of scores at a time: what lies after the last of them is not computed
LOGITS = 1 << 24  # values at a time, however large the vocabulary
ROWS = 32  # a thread's share is no less
ROW_BY_ROW = {"rms_norm", "linear", "glu", "add", "scale", "softcap"}


def missing(step: Step) -> list[str]:
    """The kinds of ops in a step that have no vector-Jacobian product here."""
    return sorted({op.kind for op in step.ops if op.kind != "embed" and not hasattr(Tape, f"_{op.kind}_back")})


class Tape(Operations):
    """Runs `step` forward over the tokens of a text, its positions counted from 0, and backward.

    `weight(name, rows)` gives a weight as floats, whole where `rows` is None. `memory`: bytes of values to keep.
    `sharing`: the threads.
    """

    def __init__(
        self,
        step: Step,
        weight: Weight,
        dtype: DTypeLike = np.float32,
        memory: int = 1 << 30,
        sharing: Sharing | None = None,
    ) -> None:
        self.step, self.weight, self.dtype, self.memory = step, weight, dtype, memory
        self.sharing = sharing or Sharing()
        self.parts = parts(step)
        self._flows: list[Values] = []
        self._kept: dict[int, Values] = {}
        self._held: tuple[tuple[Op, ...], dict[str, Array]] = ((), {})  # the weights of the part at work

    def observe(self, tokens: ArrayLike, visit: Visit) -> None:
        """Forward only, without logits: visit(op, inputs, None) for every op up to the last product."""
        self._start(tokens)
        last = max(op.output.id for op in self.step.ops if op.kind == "linear")
        flow: Values = {}
        for ops in self.parts:
            for op in ops:
                visit(op, [flow[b.id] for b in op.inputs], None)
                if op.output.id == last:
                    return
                flow[op.output.id] = self._value(op, ops, flow)
            flow = {ops[-1].output.id: flow[ops[-1].output.id]}

    def logits(self, tokens: ArrayLike) -> Iterator[tuple[slice, Array]]:
        """Forward; the logits after every token, some rows at a time: which, and (rows, vocabulary)."""
        self._forward(tokens)
        for rows, values in self._last():
            yield rows, values[self._result.id]

    def gradients(
        self, tokens: ArrayLike, of_logits: Callable[[slice, Array], Array], visit: Visit, until: int = 0
    ) -> None:
        """Forward, then visit(op, inputs, gradient) for the ops from the last to the first of part `until`.

        of_logits(rows, logits), called for all rows in some order, is the gradient of what is differentiated with
        respect to the logits (rows, vocabulary).
        Ops that are nothing but row by row, at the end, are visited with some rows at a time.
        """
        self._forward(tokens)
        arrived = []
        for rows, values in self._last():
            logits = values[self._result.id]

            def of(part: slice, rows: slice = rows, logits: Array = logits) -> Array:
                return of_logits(slice(rows.start + part.start, rows.start + part.stop), logits[part])

            gradient = np.concatenate(self.sharing.map(of, len(logits), ROWS))
            arrived.append(self._back(self.parts[-1], values, gradient, visit))
        for index in range(len(self.parts) - 2, until - 1, -1):
            gradient = np.concatenate(arrived)
            values = self._kept.pop(index, {}) or self._play(self.parts[index], self._flows[index])
            arrived = [self._back(self.parts[index], values, gradient, visit)]

    def _start(self, tokens: ArrayLike) -> None:
        self.tokens = np.asarray(tokens)
        self.positions = np.arange(len(self.tokens))
        self.outputs = np.arange(len(self.tokens), dtype=np.intp)

    def _forward(self, tokens: ArrayLike) -> None:
        """Every part but the last: `_flows` are their inputs, the last one's too, `_kept` what fitted by part."""
        self._start(tokens)
        self._flows, self._kept, room = [{}], {}, self.memory
        for index, ops in enumerate(self.parts[:-1]):
            values = self._play(ops, self._flows[-1])
            size = sum(values[op.output.id].nbytes for op in ops)
            if size <= room:
                self._kept[index] = values
                room -= size
            self._flows.append({ops[-1].output.id: values[ops[-1].output.id]})

    def _last(self) -> Iterator[tuple[slice, Values]]:
        """The values of the last part, whole or, where each row is on its own, some rows at a time."""
        ops, flow, n = self.parts[-1], self._flows[-1], len(self.tokens)
        width = max((len(weight) for op in ops for weight in self._weights(op, ops)), default=1)
        step = max(1, LOGITS // width) if {op.kind for op in ops} <= ROW_BY_ROW else n
        for start in range(0, n, step):
            rows = slice(start, min(n, start + step))
            yield rows, self._play(ops, {id: values[rows] for id, values in flow.items()})

    def _play(self, ops: tuple[Op, ...], flow: Values) -> Values:
        values = dict(flow)
        for op in ops:
            values[op.output.id] = self._value(op, ops, values)
        return values

    def _value(self, op: Op, ops: tuple[Op, ...], values: Values) -> Array:
        inputs = [values[b.id] for b in op.inputs]
        return self._shared(op, f"_{op.kind}", inputs, self._weights(op, ops))[0].astype(self.dtype, copy=False)

    def _shared(self, op: Op, name: str, arrays: list[Array], weights: list[Array]) -> list[Array]:
        """The results of the method `name` on these: every thread does some rows, or some heads of attention."""
        by_head, least, count = op.kind == "attention", ROWS, len(arrays[0]) if arrays else 0
        if by_head:
            least, count = 1, op.attributes["kv_heads"]
        elif op.kind not in ROW_BY_ROW | {"rope"}:
            least = count or 1  # in one piece

        def work(part: slice) -> tuple[Array, ...]:
            own, a, mine = copy.copy(self), op.attributes, arrays
            if by_head:
                heads = part.stop - part.start
                a = {**a, "kv_heads": heads, "heads": a["heads"] // count * heads}
                mine = [_columns(x, part, count) for x in arrays]
            elif count and least != count:
                own.positions = self.positions[part]
                mine = [x[part] for x in arrays]
            with np.errstate(over="ignore"):  # the exponential of a sigmoid far below zero, which is then zero
                result = getattr(own, name)(a, *mine, *weights)
            return result if isinstance(result, tuple) else (result,)

        done = self.sharing.map(work, count, least)
        if len(done) == 1:
            return list(done[0])
        return [np.concatenate(pieces, axis=1 if by_head else 0) for pieces in zip(*done, strict=True)]

    def _back(self, ops: tuple[Op, ...], values: Values, gradient: Array, visit: Visit) -> Array:
        """From the gradient of what the part gives to that of what it takes; the first takes tokens: an empty one."""
        gradients = {ops[-1].output.id: gradient}
        for op in reversed(ops):
            own = gradients.pop(op.output.id).astype(self.dtype, copy=False)
            inputs = [values[b.id] for b in op.inputs]
            visit(op, inputs, own)
            if not inputs:
                continue
            back = self._shared(op, f"_{op.kind}_back", [own, *inputs], self._weights(op, ops))
            for buffer, part in zip(op.inputs, back, strict=True):
                known = gradients.get(buffer.id)
                gradients[buffer.id] = part if known is None else known + part
        return next(iter(gradients.values()), np.empty(0, self.dtype))

    def _weights(self, op: Op, ops: tuple[Op, ...]) -> list[Array]:
        if self._held[0] is not ops:
            self._held = (ops, {})
        if op.kind == "embed":
            return [self.weight(op.weights[0], self.tokens).astype(self.dtype, copy=False)]
        for name in op.weights:
            if name not in self._held[1]:
                self._held[1][name] = self.weight(name, None).astype(self.dtype, copy=False)
        return [self._held[1][name] for name in op.weights]

    @property
    def _result(self) -> Buffer:
        assert self.step.result is not None
        return self.step.result

    def _embed(self, a: Attributes, rows: Array) -> Array:
        return rows * a["scale"]

    def _rms_norm_back(self, a: Attributes, y: Array, x: Array, weight: Array) -> tuple[Array]:
        h, y = (v.reshape(len(x), a["heads"], -1) for v in (x, y))
        r = 1 / np.sqrt(np.mean(h * h, axis=-1, keepdims=True) + a["eps"])
        y = y * weight
        return ((r * (y - h * (r * r * np.mean(h * y, axis=-1, keepdims=True)))).reshape(x.shape),)

    def _linear_back(self, a: Attributes, y: Array, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array]:
        return (y @ weight,)

    def _rope_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (self._rope({**a, "inverse_frequencies": -a["inverse_frequencies"]}, y),)  # turned back

    def _glu_back(self, a: Attributes, y: Array, gate: Array, up: Array) -> tuple[Array, Array]:
        if a["activation"] == "silu":
            s = 1 / (1 + np.exp(-gate))
            act = gate * s
            slope = s * (1 + gate - act)
        else:
            c, square = float(np.sqrt(2 / np.pi)), gate * gate
            t = np.tanh(c * gate * (1 + 0.044715 * square))
            act = 0.5 * gate * (1 + t)
            slope = 0.5 * (1 + t) + 0.5 * gate * (1 - t * t) * c * (1 + 3 * 0.044715 * square)
        return y * up * slope, y * act

    def _add_back(self, a: Attributes, y: Array, *inputs: Array) -> tuple[Array, Array]:
        return y, y

    def _scale_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (y * a["factor"],)

    def _softcap_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        return (y * (1 - np.tanh(x / a["cap"]) ** 2),)

    def _select_back(self, a: Attributes, y: Array, x: Array) -> tuple[Array]:
        back = np.zeros_like(x)
        np.add.at(back, self.outputs, y)
        return (back,)

    def _attention(self, a: Attributes, q: Array, k: Array, v: Array) -> Array:
        q, k, v = (_heads(x, a) for x in (q, k, v))
        y = np.empty_like(q)
        for rows, keys in _blocks(a, q.shape[2]):
            p, _ = _scores(a, q[:, :, rows], k[:, 0, keys], rows, keys)
            y[:, :, rows] = (p @ v[:, 0, keys]).reshape(y[:, :, rows].shape)
        return _rows(y)

    def _attention_back(self, a: Attributes, y: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array, Array]:
        y, q, k, v = (_heads(x, a) for x in (y, q, k, v))
        to_q, to_k, to_v = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
        for rows, keys in _blocks(a, q.shape[2]):
            p, t = _scores(a, q[:, :, rows], k[:, 0, keys], rows, keys)
            own, asked = (x[:, :, rows].reshape(len(k), -1, a["head_dim"]) for x in (y, q))
            to_v[:, 0, keys] += p.swapaxes(1, 2) @ own
            s = own @ v[:, 0, keys].swapaxes(1, 2)
            s -= np.einsum("hij,hij->hi", p, s)[:, :, None]
            s *= p
            if t is not None:
                s *= 1 - t * t
            s *= a["scale"]
            to_q[:, :, rows] = (s @ k[:, 0, keys]).reshape(to_q[:, :, rows].shape)
            to_k[:, 0, keys] += s.swapaxes(1, 2) @ asked
        return _rows(to_q), _rows(to_k), _rows(to_v)


def parts(step: Step) -> list[tuple[Op, ...]]:
    """The ops of a step, cut after each whose output is all that later ops read."""
    last = {b.id: index for index, op in enumerate(step.ops) for b in op.inputs}
    found, start, needed = [], 0, -1
    for index, op in enumerate(step.ops):
        if needed <= index and index + 1 < len(step.ops):
            found.append(tuple(step.ops[start : index + 1]))
            start = index + 1
        needed = max(needed, last.get(op.output.id, -1))
    return [*found, tuple(step.ops[start:])]


def _columns(x: Array, part: slice, count: int) -> Array:
    """Those of `part` of `count` heads."""
    width = x.shape[1] // count
    return x[:, part.start * width : part.stop * width]


def _heads(x: Array, a: Attributes) -> Array:
    """(tokens, width) as (key-value heads, query heads to each, tokens, head_dim); one to each for keys and values."""
    return x.reshape(len(x), a["kv_heads"], -1, a["head_dim"]).transpose(1, 2, 0, 3)


def _rows(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(2, 0, 1, 3)).reshape(x.shape[2], -1)


def _blocks(a: Attributes, n: int) -> Iterator[tuple[slice, slice]]:
    """Some queries at a time, and the keys that at least one of them sees."""
    for start in range(0, n, QUERIES):
        end = min(n, start + QUERIES)
        yield slice(start, end), slice(max(0, start + 1 - a["window"]) if a["window"] else 0, end)


def _scores(a: Attributes, q: Array, k: Array, rows: slice, keys: slice) -> tuple[Array, Array | None]:
    """Weights of attention (kv heads, heads to each * queries, keys), and the tanh of a softcap.

    `q` is (kv heads, heads to each, queries, head_dim), `k` (kv heads, keys, head_dim).
    """
    s = q.reshape(len(k), -1, a["head_dim"]) @ k.swapaxes(1, 2)
    s *= a["scale"]
    t = np.tanh(s / a["softcap"]) if a["softcap"] else None
    if t is not None:
        s = t * a["softcap"]
    behind = np.arange(rows.start, rows.stop)[:, None] - np.arange(keys.start, keys.stop)
    hidden = (behind < 0) | (behind >= a["window"]) if a["window"] else behind < 0
    grid = s.reshape(*q.shape[:3], -1)
    grid += np.where(hidden, -np.inf, 0).astype(s.dtype)
    s -= s.max(axis=-1, keepdims=True)
    np.exp(s, out=s)
    s /= s.sum(axis=-1, keepdims=True)
    return s, t
