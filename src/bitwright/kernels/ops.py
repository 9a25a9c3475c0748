"""The small vocabulary a model file is written in.

A `Step` records what one step of a model does to a batch of tokens, as a flat list of `Op`. `kernels.Program` compiles
the list for the native executor; `kernels.oracle` runs the same list in NumPy. Every buffer is a float32 matrix
(tokens, width); after `select` it has only the rows whose logits were asked for. Weights go by their GGUF names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from bitwright.errors import BitwrightError, UsageError

Activation = Literal["silu", "gelu_tanh"]


@dataclass(frozen=True, slots=True)
class Buffer:
    """What an op wrote: its number, and whether it holds only the rows chosen by `select`."""

    id: int
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: reads `inputs` and `weights`, writes `output`."""

    kind: str
    inputs: tuple[Buffer, ...]
    output: Buffer
    weights: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join([f'b{b.id}' for b in self.inputs] + list(self.weights))})"


class HasShape(Protocol):
    """A weight, as far as shape inference is concerned."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class Step:
    """Records one step of a model. Each method appends one op and returns the buffer it writes."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.result: Buffer | None = None
        self.layers: set[int] = set()

    def embed(self, weight: str, scale: float = 1.0) -> Buffer:
        """Rows of `weight` (vocabulary, width) named by the call's tokens, times `scale`."""
        return self._add("embed", (), (weight,), scale=float(scale))

    def rms_norm(self, x: Buffer, weight: str, eps: float, heads: int = 1) -> Buffer:
        """x / sqrt(mean(x²) + eps) * weight, over each of `heads` slices of a row; `weight` is (width / heads,)."""
        return self._add("rms_norm", (x,), (weight,), eps=float(eps), heads=_positive("heads", heads))

    def linear(self, x: Buffer, weight: str, bias: str | None = None) -> Buffer:
        """x @ weight.T + bias: `weight` is (rows, columns), `bias` is (rows,), the result (tokens, rows)."""
        return self._add("linear", (x,), (weight,) if bias is None else (weight, bias))

    def rope(
        self,
        x: Buffer,
        heads: int,
        head_dim: int,
        inverse_frequencies: ArrayLike,
        interleaved: bool,
        magnitude: float = 1.0,
    ) -> Buffer:
        """Rotates pairs of each head by position * inverse_frequencies, and multiplies them by `magnitude`.

        `inverse_frequencies` is (rotary_dim / 2,); the first rotary_dim values of a head are rotated, the rest pass.
        Pair i is (2i, 2i + 1) when `interleaved`, else (i, i + rotary_dim / 2). Positions come with the call.
        """
        frequencies = np.ascontiguousarray(inverse_frequencies, dtype=np.float32)
        if frequencies.ndim != 1 or not 0 < 2 * frequencies.size <= head_dim:
            raise UsageError(f"rope: inverse_frequencies must be 1 to {head_dim // 2} values, got {frequencies.shape}")
        if x.selected:
            raise UsageError("rope: positions belong to all tokens, so it cannot follow `select`")
        return self._add(
            "rope",
            (x,),
            heads=_positive("heads", heads),
            head_dim=_positive("head_dim", head_dim),
            inverse_frequencies=frequencies,
            interleaved=bool(interleaved),
            magnitude=float(magnitude),
        )

    def attention(
        self,
        q: Buffer,
        k: Buffer,
        v: Buffer,
        layer: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> Buffer:
        """Appends k and v (tokens, kv_heads * head_dim) to the layer's cache (float16), then attends causally.

        A token sees the positions p of its own sequence with p <= its own, and with `window`, own - p < window.
        Scores are q·k * scale, then with `softcap`, cap * tanh(score / cap).
        """
        if layer in self.layers:
            raise UsageError(f"attention: layer {layer} has a cache already")
        if _positive("heads", heads) % _positive("kv_heads", kv_heads):
            raise UsageError(f"attention: {heads} heads cannot share {kv_heads} key-value heads evenly")
        if q.selected or k.selected or v.selected:
            raise UsageError("attention: every token must be present, so it cannot follow `select`")
        written = self._add(
            "attention",
            (q, k, v),
            layer=layer,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=_positive("head_dim", head_dim),
            scale=float(scale),
            window=None if window is None else _positive("window", window),
            softcap=None if not softcap else float(softcap),
        )
        self.layers.add(layer)
        return written

    def glu(self, gate: Buffer, up: Buffer, activation: Activation = "silu") -> Buffer:
        """activation(gate) * up."""
        if activation not in ("silu", "gelu_tanh"):
            raise UsageError(f"glu: activation {activation!r} is not one of silu, gelu_tanh")
        return self._add("glu", (gate, up), activation=activation)

    def add(self, x: Buffer, y: Buffer) -> Buffer:
        """x + y."""
        return self._add("add", (x, y))

    def scale(self, x: Buffer, factor: float) -> Buffer:
        """x * factor."""
        return self._add("scale", (x,), factor=float(factor))

    def softcap(self, x: Buffer, cap: float) -> Buffer:
        """cap * tanh(x / cap)."""
        return self._add("softcap", (x,), cap=float(cap))

    def select(self, x: Buffer) -> Buffer:
        """The rows of x whose logits were asked for, in the order asked; what follows computes only those."""
        if x.selected:
            raise UsageError("select: these rows were selected already")
        return self._add("select", (x,), selected=True)

    def logits(self, x: Buffer) -> None:
        """Marks x (outputs, vocabulary) as the step's result."""
        if self.result is not None:
            raise UsageError("logits: the step has its result already")
        if not x.selected:
            raise UsageError("logits: apply `select` before the head, so that it is computed only where asked for")
        self.result = x

    def _add(
        self,
        kind: str,
        inputs: tuple[Buffer, ...],
        weights: tuple[str, ...] = (),
        selected: bool = False,
        **attributes: Any,
    ) -> Buffer:
        if len({b.selected for b in inputs}) > 1:
            raise UsageError(f"{kind}: one input has all tokens and another only the selected ones; select both")
        output = Buffer(len(self.ops), selected or any(b.selected for b in inputs))
        self.ops.append(Op(kind, inputs, output, weights, attributes))
        return output


def widths(step: Step, weights: Mapping[str, HasShape]) -> list[int]:
    """The width of every buffer by its id, checking each op's shapes; BitwrightError names the op that disagrees."""
    result: list[int] = []
    for op in step.ops:
        for name in op.weights:
            if name not in weights:
                raise BitwrightError(f"{op}: the model has no tensor {name!r}")
        inputs = [result[b.id] for b in op.inputs]
        expected = _expected(op, inputs, [weights[name].shape for name in op.weights])
        for what, want, got in expected:
            if want != got:
                raise BitwrightError(f"{op}: {what} should be {want}, got {got}")
        result.append(_width(op, inputs, [weights[name].shape for name in op.weights]))
    if step.result is None:
        raise UsageError("the step has no result: call logits")
    return result


def _width(op: Op, inputs: list[int], shapes: list[tuple[int, ...]]) -> int:
    if op.kind == "embed":
        return shapes[0][1]
    return shapes[0][0] if op.kind == "linear" else inputs[0]


def _expected(op: Op, inputs: list[int], shapes: list[tuple[int, ...]]) -> list[tuple[str, Any, Any]]:
    """(what, expected, got) of everything that must agree in one op."""
    a = op.attributes
    match op.kind:
        case "embed":
            return [(f"the number of dimensions of {op.weights[0]}", 2, len(shapes[0]))]
        case "rms_norm":
            shape = (inputs[0] // a["heads"],)
            return [(f"the shape of {op.weights[0]}", shape, shapes[0]), ("the remainder", 0, inputs[0] % a["heads"])]
        case "linear":
            checks = [(f"the columns of {op.weights[0]}", (inputs[0],), shapes[0][1:])]
            return checks + [(f"the shape of {op.weights[1]}", shapes[0][:1], s) for s in shapes[1:]]
        case "rope":
            return [("the width", a["heads"] * a["head_dim"], inputs[0])]
        case "attention":
            q, kv = a["heads"] * a["head_dim"], a["kv_heads"] * a["head_dim"]
            return [("the widths of q, k, v", [q, kv, kv], inputs)]
        case "glu" | "add":
            return [("the second width", inputs[0], inputs[1])]
    return []


def _positive(what: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{what} must be at least 1, got {value}")
    return value
