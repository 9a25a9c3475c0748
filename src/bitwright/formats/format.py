"""What a number format is: its bytes in order, and the conversion between weights and codes with scales.

A format is declared once, as a class (or an instance, for a family) whose `fields` list the bytes of one block. Sizes,
the registry, the documents and the byte maps are derived from that declaration. Every format decodes by the same rule,

    weight = scale * code + min

with one scale (and, in asymmetric formats, one min) for each of the block's `groups`. Formats differ in where the codes
and scales lie in the bytes (`unpack`, `pack`) and how they are chosen (`fit`, `round`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.formats.field import Bytes, Field, join, split

Floats = NDArray[np.float32]
Codes = NDArray[Any]  # small integers, (blocks, block_size)
Scales = tuple[NDArray[Any], ...]  # what a block stores besides its codes; each (blocks, ...), as the format defines

CHUNK = 1 << 18  # weights converted at a time, so that temporaries stay in the cache


class Format:
    """One number format. Subclasses declare the attributes and define `unpack` and `steps`; those that also encode
    define `fit`, `round` and `pack`.

    block_size: weights in one block (0: a block is one whole row).
    groups: runs of equal length within a block, each with its own scale.
    """

    name: str
    aliases: tuple[str, ...] = ()
    ggml: int | None = None  # id of the GGUF tensor type
    block_size: int
    groups: int = 1
    fields: tuple[Field, ...]
    summary: str  # one line
    formula: str  # how the fields give a weight
    whole: bool = False  # `fit` must see the whole tensor at once
    compiled: bool = False  # encoded by the compiled quantizer only, not by `fit`

    # -- sizes, all derived from `fields`

    @cached_property
    def block_bytes(self) -> int:
        return sum(field.nbytes for field in self.fields)

    @property
    def bits_per_weight(self) -> float:
        """All stored bits over all weights, scales included."""
        return 8 * self.block_bytes / self.block_size

    def row_bytes(self, columns: int) -> int:
        """Bytes of one row. Raises UsageError if blocks do not fill it exactly."""
        if columns % self.block_size:
            raise UsageError(f"{self.name} stores blocks of {self.block_size} columns, which do not divide {columns}")
        return columns // self.block_size * self.block_bytes

    def stored_bytes(self, shape: Sequence[int]) -> int:
        """Bytes of a tensor of this shape, without padding. Raises UsageError as `row_bytes` does."""
        return math.prod(shape[:-1]) * self.row_bytes(shape[-1])

    def columns(self, row_bytes: int) -> int:
        """Columns of a row of `row_bytes` bytes: the inverse of the method `row_bytes`."""
        if row_bytes % self.block_bytes:
            raise UsageError(f"{self.name} stores blocks of {self.block_bytes} bytes, which do not divide {row_bytes}")
        return row_bytes // self.block_bytes * self.block_size

    # -- what a subclass defines

    @cached_property
    def table(self) -> NDArray[Any] | None:
        """The number for each code; None if the code is the number."""
        return None

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        """Codes (blocks, block_size) and scales of packed bytes (blocks, block_bytes)."""
        raise NotImplementedError

    def steps(self, scales: Scales) -> tuple[Floats, Floats | None]:
        """The float32 (blocks, groups) scale and min (None: no min) that turn codes into weights; by default the
        first of its scales, without a min."""
        return scales[0].astype(np.float32), None

    def fit(self, values: Floats, importance: Floats | None = None) -> Scales:
        """Scales for values (blocks, block_size); importance, of the same shape, weighs each value's squared error."""
        raise UnsupportedError("encoding to", self.name, [f.name for f in all_formats() if f.encodes])

    def round(self, values: Floats, scales: Scales) -> Codes:
        """Codes (blocks, block_size) of values (blocks, block_size) on the grid of `scales`."""
        raise NotImplementedError

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        """Packed bytes (blocks, block_bytes): the inverse of `unpack`."""
        raise NotImplementedError

    def overflows(self, values: Floats, packed: Bytes) -> NDArray[np.bool_]:
        """Which blocks (blocks,) the format cannot hold: those with a stored float that is not finite."""
        bad = np.zeros(len(packed), bool)
        for field, part in zip(self.fields, self.split(packed), strict=True):
            if field.dtype in ("f16", "f32"):
                bad |= ~np.isfinite(part).all(axis=1)
        return bad

    # -- what follows from that

    @property
    def encodes(self) -> bool:
        return type(self).fit is not Format.fit

    def decode(self, codes: Codes, scales: Scales) -> Floats:
        """Weights (blocks, block_size) of codes and scales: scale * code + min, in float32, in that order."""
        scale, minimum = self.steps(scales)
        numbers = codes if self.table is None else self.table[codes]
        weights = numbers.astype(np.float32).reshape(len(codes), self.groups, -1)
        with np.errstate(over="ignore", invalid="ignore"):  # scales from a file may be anything
            weights *= scale[..., None]
            if minimum is not None:
                weights += minimum[..., None]
        return weights.reshape(codes.shape)

    def dequantize(self, data: Bytes) -> Floats:
        """Weights (..., columns) of packed bytes (..., row bytes)."""
        data = np.asarray(data)
        if data.dtype != np.uint8:
            raise UsageError(f"{self.name}: packed weights are uint8 bytes, got {data.dtype}")
        columns = self.columns(data.shape[-1])
        blocks = data.reshape(-1, (self.block_size and self.block_bytes) or data.shape[-1])
        weights = np.empty((len(blocks), self.block_size or columns), np.float32)
        for part in _chunks(*weights.shape):
            weights[part] = self.decode(*self.unpack(blocks[part]))
        return weights.reshape(*data.shape[:-1], columns)

    def quantize(self, values: ArrayLike, importance: ArrayLike | None = None) -> Bytes:
        """Packed bytes (..., row bytes) of float values (..., columns); importance (columns,) weighs squared errors.

        Raises BitwrightError, naming the first index, for a NaN, an infinity, or a block whose scale cannot be stored.
        """
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, np.float32)
        row_bytes = self.row_bytes(values.shape[-1])
        blocks = values.reshape(-1, self.block_size or values.shape[-1])
        weights = None if importance is None else _importance(importance, values).reshape(blocks.shape)
        packed = np.empty((len(blocks), (self.block_size and self.block_bytes) or row_bytes), np.uint8)
        for part in _chunks(*blocks.shape) if not self.whole else [slice(None)]:
            self._quantize_blocks(blocks, weights, packed, part, values.shape)
        return packed.reshape(*values.shape[:-1], row_bytes)

    def _quantize_blocks(
        self, blocks: Floats, weights: Floats | None, packed: Bytes, part: slice, shape: tuple[int, ...]
    ) -> None:
        x, first = blocks[part], (part.start or 0) * blocks.shape[1]
        if not (finite := np.isfinite(x)).all():
            index = first + int(np.argmin(finite))
            raise BitwrightError(f"{self.name}: weight {blocks.flat[index]} at {_where(index, shape)} is not finite")
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            scales = self.fit(x, None if weights is None else weights[part])
            packed[part] = self.pack(self.round(x, scales), scales)
            bad = self.overflows(x, packed[part])
        if bad.any():
            block = int(np.argmax(bad))
            worst = int(np.abs(x[block]).argmax())
            where = _where(first + block * x.shape[1] + worst, shape)
            raise BitwrightError(f"{self.name}: weight {x[block, worst]:.6g} at {where} is too large for the format")

    def split(self, data: Bytes) -> list[NDArray[Any]]:
        """The fields of packed bytes (blocks, block_bytes), in order; packed codes come out one per byte."""
        return split(self.fields, data)

    def join(self, *parts: NDArray[Any]) -> Bytes:
        """Packed bytes (blocks, block_bytes) of the fields in order: the inverse of `split`."""
        return join(self.fields, parts)

    def __repr__(self) -> str:
        return f"<format {self.name}>"


def _chunks(blocks: int, block_size: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(1, block_size))
    return (slice(start, min(start + step, blocks)) for start in range(0, blocks, step))


def _importance(importance: ArrayLike, values: Floats) -> Floats:
    importance = np.asarray(importance, np.float32)
    if importance.shape != values.shape[-1:]:
        raise UsageError(f"importance has shape {importance.shape}, expected {values.shape[-1:]}, one per column")
    if not (np.isfinite(importance).all() and (importance >= 0).all()):
        raise UsageError("importance must be finite and not negative")
    return np.broadcast_to(importance, values.shape)


def _where(index: int, shape: tuple[int, ...]) -> str:
    return str(tuple(int(i) for i in np.unravel_index(index, shape)))


# -- the registry

_by_name: dict[str, Format] = {}
_by_ggml: dict[int, Format] = {}
_all: list[Format] = []


def register(cls: type[Format]) -> type[Format]:
    """Class decorator: registers the format's one instance."""
    add(cls())
    return cls


def add(format: Format) -> None:
    """Register a format under its name, aliases and GGUF id."""
    _all.append(format)
    _by_name.update(dict.fromkeys((format.name, *format.aliases), format))
    if format.ggml is not None:
        _by_ggml[format.ggml] = format


def find(name: str) -> Format | None:
    """The registered format of that name or alias, in any case; None if there is none."""
    return _by_name.get(name.lower())


def from_ggml(id: int) -> Format:
    """The format of a GGUF tensor type id. Raises UnsupportedError, which lists the known ids."""
    if id not in _by_ggml:
        raise UnsupportedError("GGUF tensor type", id, [f"{i} ({f.name})" for i, f in sorted(_by_ggml.items())])
    return _by_ggml[id]


def all_formats() -> tuple[Format, ...]:
    """Every registered format, by GGUF id, then those without one. Members of families are made on demand and not
    included."""
    return tuple(sorted(_all, key=lambda format: (format.ggml is None, format.ggml)))
