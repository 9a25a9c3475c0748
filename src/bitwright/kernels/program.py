"""A step compiled for the native executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright import formats
from bitwright.errors import UnknownNameError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels import _native
from bitwright.kernels.ops import Step
from bitwright.kernels.schedule import ONLY_IN_PLACE, Instruction, Phase, Plan

Float32 = NDArray[np.float32]

KV = ("f16", "bf16", "q8_0", "q4_0")  # formats a key-value cache may have
ACTIVATIONS = ("int8", "ggml")  # how the inputs of products with quantized weights are rounded: our way, llama.cpp's


class Program:
    """A step over one model's weights, with a key-value cache for `sequences` sequences of up to `context` positions.

    Weights stay where they are (often mapped from a file) and are referred to; those of matrix products may be kept in
    a second, faster layout. `threads` defaults to the cores this process may use; programs of one thread count share a
    pool. After fork() a child process must make a new Program. `kv` is the format of the cache, one of KV; layers with
    a window keep it and one batch. `activations` is one of ACTIVATIONS; `observe`
    keeps `squares`. Raises BitwrightError where weights and step disagree.
    """

    def __init__(
        self,
        step: Step,
        weights: Mapping[str, QuantizedTensor],
        context: int,
        sequences: int = 1,
        batch: int = 512,
        threads: int | None = None,
        tier: str | None = None,
        kv: str = "f16",
        activations: str = "int8",
        observe: bool = False,
    ) -> None:
        if activations not in ACTIVATIONS:
            raise UnknownNameError("rounding of activations", activations, ACTIVATIONS)
        if kv not in KV:
            raise UnknownNameError("key-value cache", kv, KV)
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads}")
        self.context, self.sequences, self.batch = context, sequences, batch
        self._weights = weights
        cache = _native.format_id(formats.get(kv))
        self._native = _native.core().Program(tier or "", threads or 0, batch, context, sequences, cache)
        self._matrices: dict[str, int] = {}
        self._vectors: dict[str, int] = {}
        self._layers: dict[int, int] = {}
        as_ggml = activations == "ggml"
        plan = Plan(step, weights, lambda name: _ggml_rounding(weights[name].format) if as_ggml else 0, observe)
        self._phases, self._observed = plan.phases, list(plan.observed.values())
        self._build(plan)

    @property
    def tier(self) -> str:
        return self._native.tier

    @property
    def threads(self) -> int:
        return self._native.threads

    @property
    def lengths(self) -> list[int]:
        """The number of positions each sequence holds; a call may go on at this position, or from `earliest` on."""
        return self._native.lengths

    @property
    def earliest(self) -> list[int]:
        """The lowest position, but for 0, that each sequence may go back to: layers with a window forget."""
        return self._native.earliest

    @property
    def memory(self) -> dict[str, int]:
        """Bytes kept beside the weights: `cache` of keys and values, `packed` weights, `buffers` of activations."""
        n = self._native
        return {"cache": n.cache_bytes, "packed": n.packed_bytes, "buffers": n.buffer_bytes}

    def adopt(self, other: Program, sequence: int, begin: int, end: int) -> None:
        """Take the keys and values of positions `begin` to `end` of a sequence as another program computed them, from
        other weights; the sequence then ends at `end`. What was cached before `begin` stays this program's own.

        UsageError where the caches are not alike (layers, heads, format, context) or the positions are not there.
        """
        self._native.adopt(other._native, sequence, begin, end)

    def squares(self) -> dict[str, tuple[NDArray[np.float64], int]]:
        """Of each matrix product's weight: the sum of the squares of its input (columns,), and over how many tokens."""
        found = [self._native.squares_of(index) for index in range(len(self._observed))]
        sums = [(np.array(values), rows) for values, rows in found]
        return {name: own for names, own in zip(self._observed, sums, strict=True) for name in names}

    def watch(self) -> None:
        """Sum up, from zero, what each phase takes from now on."""
        self._native.watch()

    def seconds(self) -> list[tuple[Phase, float]]:
        """The phases of a step in order, and the seconds spent in each since `watch`."""
        return list(zip(self._phases, (n / 1e9 for n in self._native.nanoseconds), strict=False))

    def run(self, tokens: ArrayLike, positions: ArrayLike, sequences: ArrayLike, outputs: ArrayLike) -> Float32:
        """One step: token ids, their positions and their sequences (n,), and the indices (m,) of the tokens whose
        logits are wanted. Returns logits (m, vocabulary).

        A sequence's positions go on by one from token to token; its first in a call may lie before its end (0, or from
        `earliest` on), and then replaces what was cached from there on. More than `batch` tokens run as several steps.
        UsageError names the first token id, position, sequence or output that is out of range; BitwrightError says
        that the cache's format cannot hold what the model computed.
        """
        t, p, s, o = _ids(tokens), _ids(positions), _ids(sequences), _ids(outputs)
        n = self.batch
        if len(t) <= n and len(o) <= n:
            return self._native.run(t, p, s, o)
        if len(o) and (o.min() < 0 or o.max() >= len(t)):
            raise UsageError(f"outputs must lie in 0 to {len(t) - 1}, got {o.min()} to {o.max()}")
        parts, order = [], []
        for begin in range(0, len(t), n):
            mine = np.flatnonzero((o >= begin) & (o < begin + n))
            part = slice(begin, begin + n)
            wanted, back = np.unique(o[mine] - begin, return_inverse=True)
            logits = self._native.run(t[part], p[part], s[part], wanted.astype(np.int32))
            parts.append(logits[back])
            order.append(mine)
        return np.concatenate(parts)[np.argsort(np.concatenate(order), kind="stable")]

    def _build(self, plan: Plan) -> None:
        native = self._native
        for width in plan.buffers:
            native.buffer(width)
        for columns in plan.inputs:
            native.input(columns)
        for names in self._observed:
            native.squares(self._weights[names[0]].shape[1])
        for frequencies, magnitude, interleaved in plan.angles:
            native.angles(np.frombuffer(frequencies, np.float32).tolist(), magnitude, interleaved)
        for phase in plan.phases:
            native.phase(phase.kind, phase.selected)
            for instruction in phase.instructions:
                self._add(instruction)
        native.finish(plan.result)

    def _add(self, i: Instruction) -> None:
        """Translates one instruction; `layer` and weights become numbers of what the native program holds."""
        a = dict(i.attributes)
        reads = [value for value in i.reads if value.kind == "buffer"]
        arguments: dict[str, Any] = {name: a[name] for name in ("heads", "head_dim", "index") if name in a}
        arguments |= {name: a[name] or 0 for name in ("window", "softcap") if name in a}
        arguments |= dict(zip(("a", "b"), (value.place for value in reads), strict=False))
        if i.writes.kind == "buffer":
            arguments["out"] = i.writes.place
        if i.code in ("load", "linear"):
            arguments["input"] = (i.writes if i.code == "load" else i.reads[0]).place
        if i.weight is not None:
            arguments["weight"] = self._matrix(i.weight) if i.code in ("embed", "linear") else self._vector(i.weight)
        if i.code in ("store", "attention"):
            if a["layer"] not in self._layers:
                self._layers[a["layer"]] = self._native.layer(a["kv_heads"], a["head_dim"], a["window"] or 0)
            arguments["index"] = self._layers[a["layer"]]
        for name in ("eps", "factor", "cap", "scale"):
            if name in a:
                arguments["value"] = a[name]
        if i.code in ONLY_IN_PLACE and reads[0].place != i.writes.place:
            self._native.add("copy", out=i.writes.place, a=reads[0].place)
        self._native.add(i.code, **arguments)

    def _matrix(self, name: str) -> int:
        if name not in self._matrices:
            w = self._weights[name]
            data = np.ascontiguousarray(w.data).reshape(-1)
            self._matrices[name] = self._native.matrix(_native.format_id(w.format), *w.shape, data)
        return self._matrices[name]

    def _vector(self, name: str) -> int:
        if name not in self._vectors:
            self._vectors[name] = self._native.vector(self._weights[name].dequantize().reshape(-1).tolist())
        return self._vectors[name]


def _ggml_rounding(format: Format) -> int:
    """tier.h's Rounding that is what llama.cpp does to the inputs of a weight (ggml-cpu.c: vec_dot_type)."""
    if format.ggml is None or format.block_size == 1:
        return 0  # floats: the inputs stay what they are
    return {"q4_1": 2, "q5_1": 2}.get(format.name, 3 if format.block_size == 256 else 1)


def _ids(values: ArrayLike) -> NDArray[np.int32]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(f"tokens, positions, sequences and outputs are integers (n,), got {array.dtype} {array.shape}")
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise UsageError("token ids, positions, sequences and outputs must fit 32 bits")
    return np.ascontiguousarray(array, dtype=np.int32)
