"""How an op is declared: once, as a subclass of `Op`. Everything else about ops derives from these classes.

An op is a dataclass. Its fields, in the order in which the method of `Step` takes them, are its inputs (`Buffer`), its
weights (`Weight`) and its attributes (all others). An instance is one use of the op in a step. The class also declares
the op's shapes, its meaning in NumPy, its gradient, and its native instructions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, Union, get_args, get_origin

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitwright.errors import UsageError
from bitwright.kernels.ops.native import Entry, Lowering, Value

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Weight = Annotated[str, "the GGUF name of a weight"]
Count = Annotated[int, "at least 1"]
# A layer's cache is shared by ops with the same keys and values; a state belongs to its only op of a kind.
Layer = Annotated[int, "the number of a layer"]
Cache: TypeAlias = dict[tuple[int, int], tuple[list[Array], list[Array]]]  # (layer, sequence): keys, values
StateKey: TypeAlias = tuple[str, int, int]  # kind of op, layer, sequence

OPS: dict[str, type[Op]] = {}  # every declared op by its kind


@dataclass(frozen=True, slots=True)
class Buffer:
    """An op's output: its number, and whether it holds only the rows chosen by `select`."""

    id: int
    selected: bool = False


@dataclass(frozen=True)
class Call:
    """One run of a step, computed in `dtype`; tokens, positions and sequences are (n,), outputs (m,).

    `cache` holds earlier keys and values, and `stored` rounds new ones (tokens, heads, head_dim) as a cache would;
    `states` are those of ops that keep one.
    """

    dtype: DTypeLike
    tokens: Array
    positions: Array
    sequences: Array
    outputs: NDArray[np.intp]
    cache: Cache = field(default_factory=dict)
    states: dict[StateKey, Array] = field(default_factory=dict)
    stored: Callable[[Array], Array] = lambda x: x
    hidden: Array | None = None  # (n, width), for a step that begins at a layer


@dataclass(eq=False)
class Op:
    """One use of an operation: reads `inputs` and `weights`, writes `output`.

    Raises UsageError for attributes out of range, and for inputs that disagree about `select`.
    """

    kind: ClassVar[str]  # the op's name
    entries: ClassVar[tuple[Entry, ...]]  # the native instructions that it becomes
    by_row: ClassVar[bool] = False  # whether a row of the output needs only that row of the inputs
    all_tokens: ClassVar[bool] = False  # whether it needs every token, and so cannot follow `select`
    selects: ClassVar[bool] = False  # whether its output holds only the rows whose logits are requested
    multiplies: ClassVar[bool] = False  # whether it multiplies its first input by its first weight
    keeps_state: ClassVar[bool] = False  # whether each sequence has a state for it, which only goes forward
    looks_up: ClassVar[bool] = False  # whether its weight is given as the rows of the call's tokens

    # meaning(call, *inputs, *weights) is the output; inputs are (tokens, width). gradient(call, gradient of the output,
    # *inputs, *weights) are the gradients of the inputs; weights get none, because calibration needs those at outputs.
    meaning: ClassVar[Callable[..., Array]]
    gradient: ClassVar[Callable[..., tuple[Array, ...]]]

    inputs: tuple[Buffer, ...] = field(init=False)
    weights: tuple[str, ...] = field(init=False)  # names
    output: Buffer = field(init=False)  # set by the step

    def __init_subclass__(cls) -> None:
        OPS[cls.kind] = cls

    def __post_init__(self) -> None:
        for name, is_count, choices, number in _rules(self.kind):
            value = getattr(self, name)
            if value is None:
                continue
            if is_count and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
            if choices and value not in choices:
                raise UsageError(f"{self.kind}: {name} {value!r} is not one of {', '.join(choices)}")
            if number is not None:
                setattr(self, name, number(value))
        self.inputs, self.weights = self._of_type(Buffer), self._of_type(Weight)
        if len({b.selected for b in self.inputs}) > 1:
            raise UsageError(f"{self.kind}: one input has all tokens and another only the selected ones; select both")
        if self.all_tokens and any(b.selected for b in self.inputs):
            raise UsageError(f"{self.kind}: needs every token, so it cannot follow `select`")

    def reading(self, buffers: Mapping[int, Buffer]) -> Op:
        """The same use of the op in another step, where the buffer with id i is `buffers[i]`."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return type(self)(**(own | {name: buffers[b.id] for name, b in own.items() if isinstance(b, Buffer)}))

    @property
    def state(self) -> tuple[str, int]:
        """The kind and layer of a state, of an op that keeps one."""
        return self.kind, self._of_type(Layer)[0]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The fields that are neither inputs nor weights, by name."""
        own = types_of(self.kind)
        return {name: getattr(self, name) for name, types in own.items() if not {Buffer, Weight} & {*types}}

    def _of_type(self, wanted: Any) -> tuple[Any, ...]:
        values = [getattr(self, name) for name in _fields_of(self.kind, wanted)]
        return tuple([value for value in values if value is not None])

    def __str__(self) -> str:
        return f"{self.kind}({', '.join([f'b{b.id}' for b in self.inputs] + list(self.weights))})"

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        """The width of the output, from the widths of the inputs and the shapes of the weights."""
        return inputs[0]

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        """(what, expected, got) of everything that must agree between inputs, weights and attributes."""
        return ()

    def state_floats(self, shapes: list[Shape]) -> int:
        """Floats that each sequence keeps for this op, whatever its length; shapes: of the weights."""
        return 0

    def _states(self, call: Call, first: Array) -> Iterator[tuple[StateKey, Array]]:
        """For each token of a call, which state it changes, and that state: `first` at position 0."""
        for position, sequence in zip(call.positions, call.sequences, strict=True):
            key = (*self.state, int(sequence))
            yield key, call.states[key] if position else first

    def over_text(self, call: Call, *arrays: Array) -> Array:
        """The meaning if the call holds one whole text: positions from 0, one sequence, nothing cached."""
        return self.meaning(call, *arrays)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        """Emit the op's native instructions and return the value of its output, `width` wide."""
        (entry,) = self.entries
        attributes = {name: getattr(self, name) for name in entry.fields}
        return to.emit(entry, reads, width, next(iter(self.weights), None), **attributes)


@cache
def types_of(kind: str) -> dict[str, tuple[Any, ...]]:
    """The fields of an op by name, in order, with the types that each may have."""
    op = OPS[kind]
    hints = inspect.get_annotations(op, eval_str=True)  # those of Op itself, too, would take ten times as long
    own = {f.name: hints[f.name] for f in fields(op) if f.init}
    return {name: get_args(t) if get_origin(t) in (Union, UnionType) else (t,) for name, t in own.items()}


@cache
def _fields_of(kind: str, wanted: Any) -> tuple[str, ...]:
    """The fields of an op that may have a type."""
    return tuple(name for name, types in types_of(kind).items() if wanted in types)


@cache
def _rules(kind: str) -> tuple[tuple[str, bool, tuple[str, ...], type | None], ...]:
    """What the fields of an op must be, of those that are restricted: each one's name, whether it is a Count, the
    choices of a Literal, and the kind of number that it becomes."""
    found = []
    for name, types in types_of(kind).items():
        choices = get_args(types[0]) if get_origin(types[0]) is Literal else ()
        number = types[0] if types[0] in (float, bool) else None
        if Count in types or choices or number:
            found.append((name, Count in types, choices, number))
    return tuple(found)
