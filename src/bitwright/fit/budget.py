"""What the user asks for, as bytes: the room that a model's tensors have in a file, or in the memory of an engine."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bitwright.errors import BudgetError, UsageError
from bitwright.fit.choices import Choices
from bitwright.fit.pace import Pace, pace
from bitwright.formats import Format
from bitwright.formats.tensor import HasFormat
from bitwright.hardware.devices import Device
from bitwright.hardware.kv import padded
from bitwright.hardware.memory import Footprint, memory, resident
from bitwright.hardware.plan import capacity
from bitwright.io import gguf, label
from bitwright.model.architectures.outline import Outline
from bitwright.quantizers.metadata import metadata_of
from bitwright.recipes import Assignment, Recipe
from bitwright.recipes.roles import is_quantized

CONTEXT = 8192  # tokens, if the user names no context; less if the model was trained on less


@dataclass(frozen=True)
class Ask:
    """What the user asks for: one of memory (bytes), device, size (bytes of the file), bits_per_weight, match (bytes of
    another file, with its name) and max_kl (nats; the smallest file that loses no more). context, kv, engine: what the
    memory holds besides weights, and whose memory it is. speed: also, so many tokens per second on a device at least.
    """

    memory: int | None = None
    device: Device | None = None
    size: int | None = None
    bits_per_weight: float | None = None
    match: tuple[int, str] | None = None
    max_kl: float | None = None
    context: int | None = None
    kv: str = "f16"
    engine: str = "llama.cpp"
    speed: tuple[float, Device] | None = None

    def __post_init__(self) -> None:
        given = (self.memory, self.device, self.size, self.bits_per_weight, self.match, self.max_kl)
        if sum(part is not None for part in given) != 1:
            raise UsageError("expected one budget: --memory, --device, --size, --bits-per-weight, --match or --max-kl")


@dataclass(frozen=True)
class Budget:
    """The bytes that may not be exceeded.

    asked: by what, in words. total: bytes of the file; of memory if `engine` names whose; of the tensors alone, without
    padding, if neither engine nor alignment is given. fixed: the part that no choice of formats changes: of a file, the
    header, the metadata with the label that is written at the end, and the tensors that keep their format; of memory,
    keys and values, buffers (the most, those for weights that read floats), the engine and those tensors. max_kl: the
    smallest file is wanted that loses no more nats; `total` is then the source's. pace: the speed that must also be
    reached; a tensor then counts as the bytes or as the share of a token's time that it takes, whichever is more, so
    that what meets `room` meets both.
    """

    asked: str
    total: int
    fixed: int
    outline: Outline = field(repr=False)
    context: int
    kv: str = "f16"
    engine: str | None = None
    alignment: int | None = None
    max_kl: float | None = None
    pace: Pace | None = None

    @property
    def room(self) -> int:
        """Bytes for the tensors that get a format: what `Choices.bytes_of` may come to."""
        return self.total - self.fixed

    def size(self, tensor: str, shape: Sequence[int], format: Format) -> int:
        """The bytes that count for a tensor, for `Choices.bytes`; 0 if the format's blocks do not divide its rows.

        A tensor that takes no memory, such as an embedding that bitwright looks up in the file, counts as one byte.
        """
        if shape[-1] % format.block_size:
            return 0
        if self.engine is not None:
            size = max(1, resident(self.outline, tensor, shape, format, self.engine))
        else:
            size = padded(format.stored_bytes(shape), self.alignment or 1)
        if self.pace is None or self.pace.room <= 0:
            return size
        return max(size, math.ceil(self.room * self.pace.seconds(tensor, shape, format) / self.pace.room))

    def check(self, choices: Choices) -> None:
        """BudgetError naming the smallest total, or the highest speed, if no choice of formats meets the budget."""
        if self.pace is not None:
            self._check_speed(self.pace, choices)
        least = self.fixed + sum(int(sizes[allowed].min()) for sizes, allowed in zip(choices.bytes, choices.allowed,
                                                                                     strict=True))  # fmt: skip
        if least > self.total:
            less = "; a shorter context or a smaller cache takes less" if self.engine is not None else ""
            raise BudgetError(f"{self.outline.name} does not fit {self.asked}: the smallest choice of formats takes "
                              f"{least:,} bytes{less}", least)  # fmt: skip

    def _check_speed(self, pace: Pace, choices: Choices) -> None:
        shapes = {t.name: t.shape for t in self.outline.tensors}
        time = pace.fixed
        for name, allowed in zip(choices.tensors, choices.allowed, strict=True):
            time += min(pace.seconds(name, shapes[name], f) for f, can in zip(choices.formats, allowed, strict=True)
                        if can)  # fmt: skip
        if time > 1 / pace.floor:
            raise BudgetError(
                f"{self.outline.name} does not decode {pace.floor:g} tokens per second on {pace.device.name}: "
                f"{1 / time:.3g} is the most that any choice of formats reaches",
                1 / time,
            )

    @property
    def of(self) -> str:
        """What the bytes are of, in words."""
        if self.engine is not None:
            return f"memory in {self.engine}"
        return "the tensors" if self.alignment is None else "the file"

    def plan(self, assignments: Sequence[Assignment]) -> Footprint:
        """What running the model takes in these formats, in the engine and context that were asked for."""
        return memory(self.outline, assignments, self.context, self.kv, engine=self.engine or "llama.cpp")


def searched(outline: Outline) -> list[HasFormat]:
    """The tensors that get a format; the others (norms, biases, routers, layers that predict further tokens) keep
    theirs."""
    found = (t for t in outline.tensors if is_quantized(t.name, t.shape, outline.architecture))
    return [t for t in found if outline.runs(t.name)]


def metadata(source: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The metadata of the file that is written in the end, with a label whose values are as long as those to come.
    more: `quantizers.metadata.provenance` of the statistics."""
    kept = {key: value for key, value in source.items() if not key.startswith(label.PREFIX)}
    return metadata_of(Recipe(), kept) | dict(more or {}) | label.blank().entries()


def file_bytes(outline: Outline, chosen: Mapping[str, Format], more: Mapping[str, Any] | None = None) -> int:
    """The size of the file, label included, that gives the tensors in `chosen` their formats, and leaves the others."""
    return _layout(outline, chosen, more).total


def _layout(outline: Outline, chosen: Mapping[str, Format], more: Mapping[str, Any] | None) -> gguf.Layout:
    source, arrays = outline.metadata, outline.vocabulary_bytes
    if isinstance(outline.metadata, gguf.Metadata):  # its arrays, such as the vocabulary, are the same in every file
        source, arrays = outline.metadata.scalars(), outline.metadata.array_bytes
    placed = ((t.name, t.shape, chosen.get(t.name, t.format)) for t in outline.tensors)
    return gguf.layout(metadata(source, more), placed, arrays)


def budget(outline: Outline, ask: Ask, more: Mapping[str, Any] | None = None) -> Budget:
    """The budget for one model. more: as in `metadata`.

    Raises UsageError for a context longer than the model was trained on, or a device whose memory is not known;
    UnknownNameError for an unknown engine or format of keys and values.
    """
    context = ask.context or min(CONTEXT, outline.context or CONTEXT)
    if context > outline.context > 0:
        raise UsageError(f"--ctx {context}: {outline.name} was trained on {outline.context} tokens")
    needed = memory(outline, "f16", context, ask.kv, engine=ask.engine)  # also checks the names
    chosen = {t.name for t in searched(outline)}
    if ask.speed is not None:
        floor, device = ask.speed
        with_pace = pace(outline, device, floor, context, ask.kv, searched(outline))
        found = budget(outline, replace(ask, speed=None), more)
        words = f"{found.asked}, with at least {floor:g} tokens per second on {device.name}"
        return replace(found, pace=with_pace, asked=words)
    if ask.memory is None and ask.device is None:
        return _of_file(outline, ask, context, chosen, more)
    total = ask.memory if ask.memory is not None else capacity(ask.device)  # type: ignore[arg-type]
    if total is None:
        raise UsageError(f"the memory of {ask.device.id} is not known: give --memory")  # type: ignore[union-attr]
    where = f"{total:,} bytes of memory" if ask.device is None else f"the {total:,} bytes that {ask.device.name} has"
    kept = [t for t in outline.tensors if t.name not in chosen]
    unchanged = sum(resident(outline, t.name, t.shape, t.format, ask.engine) for t in kept)
    fixed = needed.total - needed.weights + unchanged
    asked = f"{where} in {ask.engine}, with {context} tokens of context in {ask.kv}"
    return Budget(asked, total, fixed, outline, context, ask.kv, ask.engine)


def of_formats(
    outline: Outline, name: str, chosen: Mapping[str, Format], more: Mapping[str, Any] | None = None
) -> Budget:
    """The budget that just holds the file with these formats, which the recipe `name` gives it."""
    layout = _layout(outline, chosen, more)
    sizes = (chosen[t.name].stored_bytes(t.shape) for t in searched(outline))
    fixed = layout.total - sum(padded(size, layout.alignment) for size in sizes)
    context = min(CONTEXT, outline.context or CONTEXT)
    return Budget(f"the formats of {name}", layout.total, fixed, outline, context, alignment=layout.alignment)


def _of_file(
    outline: Outline, ask: Ask, context: int, chosen: Collection[str], more: Mapping[str, Any] | None
) -> Budget:
    """The budget of a file's size, or of its tensors'."""
    if ask.bits_per_weight is not None:
        total = int(ask.bits_per_weight * outline.parameters / 8)
        fixed = sum(t.format.stored_bytes(t.shape) for t in outline.tensors if t.name not in chosen)
        return Budget(f"{ask.bits_per_weight:g} bits per weight", total, fixed, outline, context, ask.kv)
    whole = _layout(outline, {}, more)
    fixed = whole.total - sum(padded(t.format.stored_bytes(t.shape), whole.alignment) for t in searched(outline))
    total, asked = whole.total, f"a KL divergence of at most {ask.max_kl} nats"
    if ask.match is not None:
        total, asked = ask.match[0], f"the size of {ask.match[1]}"
    elif ask.size is not None:
        total, asked = ask.size, f"a file of {ask.size:,} bytes"
    return Budget(asked, total, fixed, outline, context, ask.kv, alignment=whole.alignment, max_kl=ask.max_kl)
