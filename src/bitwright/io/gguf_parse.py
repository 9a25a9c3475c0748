"""Locate everything in one GGUF file. Every length is checked before it is used.

Only names and what the layout needs are decoded here: a `Value` says where a metadata value lies, a `TensorInfo`
where a tensor does, and both are known to lie inside the file. Source: the GGUF specification,
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Where the specification leaves a choice, this reader accepts files without final padding and with unused bytes between
tensors; it refuses nested arrays, empty keys, tensors of no dimensions or of no elements, and tensors that overlap.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.formats import Format, from_ggml
from bitwright.io.gguf_values import ARRAY, DTYPES, NAMES, STRING
from bitwright.kernels import mapping

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_DIMENSIONS = 4
UNDECODED = {9: "Q8_1", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64"}  # ggml types without a Format
LENGTH = struct.Struct("<Q")
_SMALLEST_VALUE = 8 + 4 + 1  # an empty key, a type, one byte
_SMALLEST_INFO = 8 + 4 + 8 + 4 + 8  # an empty name, one dimension, a type, an offset


class Value(NamedTuple):
    """Where a metadata value's payload lies: `length` items of type `element` (None: one of `type`)."""

    type: int
    element: int | None
    length: int
    start: int
    end: int


class TensorInfo(NamedTuple):
    """A tensor: `shape` in NumPy order `(rows, columns)`, `offset` in bytes from the start of the file `part`."""

    name: str
    shape: tuple[int, ...]
    format: Format
    offset: int
    nbytes: int
    part: int = 0


class Parsed(NamedTuple):
    """One file: its version, its metadata in file order, its tensors in file order."""

    version: int
    values: dict[str, Value]
    tensors: dict[str, TensorInfo]


def parse(buffer: mmap.mmap | bytes, path: Path, part: int = 0) -> Parsed:
    """Find everything in one GGUF file; raises FileFormatError or UnsupportedError, and nothing else."""
    cursor = Cursor(buffer, path)
    version = _version(cursor)
    tensor_count = cursor.count("tensors", _SMALLEST_INFO)
    values = _values(cursor, cursor.count("metadata values", _SMALLEST_VALUE))
    alignment = _alignment(cursor, values)
    return Parsed(version, values, _tensors(cursor, tensor_count, alignment, part))


class Cursor:
    """Reads forward through a buffer and never past its end."""

    def __init__(self, buffer: mmap.mmap | bytes, path: Path) -> None:
        self.buffer, self.path, self.size, self.at = buffer, path, len(buffer), 0

    def fail(self, at: int, expected: str, got: object) -> NoReturn:
        """Raise FileFormatError for what was found at byte `at`."""
        raise FileFormatError(self.path, at, expected, str(got))

    def take(self, length: int, what: str) -> int:
        """Step over `length` bytes and return where they start."""
        start = self.at
        if length > self.size - start:
            self.fail(start, f"{length} bytes of {what}", f"{self.size - start} before the end of the file")
        self.at += length
        return start

    def integer(self, width: int, what: str) -> int:
        """The next `width` bytes as an unsigned little-endian integer. Raises FileFormatError at the end of the
        file."""
        start = self.take(width, what)
        return int.from_bytes(self.buffer[start : self.at], "little")

    def count(self, what: str, smallest: int) -> int:
        """A 64-bit count of items that take at least `smallest` bytes each, and so must fit in the file."""
        start = self.at
        count = self.integer(8, f"the number of {what}")
        if count > (self.size - self.at) // smallest:
            self.fail(start, f"at most {(self.size - self.at) // smallest} {what} in the rest of the file", count)
        return count

    def string(self, what: str) -> str:
        """The next string: its length in 8 bytes, then UTF-8. Raises FileFormatError if it is not."""
        start = self.take(self.integer(8, f"the length of {what}"), what)
        try:
            return str(self.buffer[start : self.at], "utf-8")
        except UnicodeDecodeError as error:
            self.fail(start + error.start, f"UTF-8 in {what}", f"byte 0x{self.buffer[start + error.start]:02x}")

    def skip_strings(self, count: int, what: str) -> None:
        """Step over an array of strings."""
        at, previous, found = mapping.skip_strings(self.buffer, self.at, count)
        if found < count and at <= self.size - 8:  # this one has a length, and ends beyond the file
            at, previous, found = at + 8 + LENGTH.unpack_from(self.buffer, at)[0], at, found + 1
        if found < count:
            self.fail(previous, f"{count} strings in {what} inside {self.size} bytes", f"the end after {found}")
        if at > self.size:
            self.fail(previous, f"the last string of {what} inside {self.size} bytes", f"an end at byte {at}")
        self.at = at


def _version(cursor: Cursor) -> int:
    start = cursor.take(4, "the magic number")
    magic = cursor.buffer[start : cursor.at]
    if magic != MAGIC:
        cursor.fail(start, f"the magic number {MAGIC!r}", repr(bytes(magic)))
    version = cursor.integer(4, "the version")
    if version in VERSIONS:
        return version
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    got = f"version {swapped} in big-endian byte order" if swapped in VERSIONS else version
    cursor.fail(start + 4, "GGUF version 2 or 3 in little-endian byte order", got)


def _values(cursor: Cursor, count: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for index in range(count):
        start = cursor.at
        key = cursor.string(f"the key of metadata value {index}")
        if not key or key in values:
            cursor.fail(start, f"a key for metadata value {index} that is new and not empty", repr(key))
        values[key] = _value(cursor, key)
    return values


def _value(cursor: Cursor, key: str) -> Value:
    kind = _type(cursor, key, range(len(NAMES)))
    element, count = None, 1
    if kind == ARRAY:
        element = _type(cursor, f"the elements of {key}", [*DTYPES, STRING])
        count = cursor.count(f"elements of {key}", 8 if element == STRING else DTYPES[element].itemsize)
    start = cursor.at
    if kind == STRING:
        start = cursor.take(cursor.integer(8, f"the length of {key}"), key)
    elif element == STRING:
        cursor.skip_strings(count, key)
    else:
        cursor.take(count * DTYPES[kind if element is None else element].itemsize, key)
    return Value(kind, element, count, start, cursor.at)


def _type(cursor: Cursor, what: str, allowed: Iterable[int]) -> int:
    start = cursor.at
    number = cursor.integer(4, f"the type of {what}")
    if number not in allowed:
        cursor.fail(start, f"a type for {what} out of {', '.join(NAMES[n] for n in allowed)}", f"type {number}")
    return number


def _alignment(cursor: Cursor, values: dict[str, Value]) -> int:
    value = values.get("general.alignment")
    if value is None:
        return DEFAULT_ALIGNMENT
    kind, alignment = NAMES[value.type], int.from_bytes(cursor.buffer[value.start : value.start + 4], "little")
    if kind != "uint32" or alignment.bit_count() != 1:
        cursor.fail(value.start, "general.alignment to be a uint32 and a power of two", f"{kind} {alignment}")
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int, part: int) -> dict[str, TensorInfo]:
    """The tensors in file order, all inside the file and without overlap."""
    found: dict[str, tuple[TensorInfo, int]] = {}
    for index in range(count):
        start = cursor.at
        info = _tensor(cursor, index, alignment, part)
        if info.name in found:
            cursor.fail(start, f"a new name for tensor {index}", repr(info.name))
        found[info.name] = info, cursor.at - 8
    data = -(-cursor.at // alignment) * alignment
    end = 0
    for info, field in sorted(found.values(), key=lambda item: item[0].offset):
        if info.offset < end:
            cursor.fail(field, f"tensor {info.name} at byte {end} of the data or later", info.offset)
        end = info.offset + info.nbytes
        if data + end > cursor.size:
            cursor.fail(field, f"tensor {info.name} inside {cursor.size} bytes", f"an end at byte {data + end}")
    return {name: info._replace(offset=data + info.offset) for name, (info, _) in found.items()}


def _tensor(cursor: Cursor, index: int, alignment: int, part: int) -> TensorInfo:
    """One tensor's description, its offset counted from the start of the data."""
    name = cursor.string(f"the name of tensor {index}")
    start = cursor.at
    dimensions = cursor.integer(4, f"the number of dimensions of {name}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        cursor.fail(start, f"1 to {MAX_DIMENSIONS} dimensions of {name}", dimensions)
    start = cursor.at
    shape = tuple(cursor.integer(8, f"a dimension of {name}") for _ in range(dimensions))[::-1]
    if not 0 < math.prod(shape) < 1 << 63:
        cursor.fail(start, f"1 to 2^63-1 elements of {name}", f"shape {shape}")
    format = _format(cursor, name)
    if shape[-1] % format.block_size:
        cursor.fail(start, f"rows of {name} in whole {format.name} blocks of {format.block_size}", shape[-1])
    start = cursor.at
    offset = cursor.integer(8, f"the offset of {name}")
    if offset % alignment:
        cursor.fail(start, f"an offset of {name} that is a multiple of {alignment}", offset)
    return TensorInfo(name, shape, format, offset, format.stored_bytes(shape), part)


def _format(cursor: Cursor, name: str) -> Format:
    start = cursor.at
    number = cursor.integer(4, f"the type of tensor {name}")
    try:
        return from_ggml(number)
    except UnsupportedError as error:
        if number in UNDECODED:
            kind = f"{cursor.path}, byte {start}: the format of tensor {name},"
            raise UnsupportedError(kind, UNDECODED[number], error.supported) from None
        cursor.fail(start, f"a ggml type for tensor {name}", f"type {number}")
