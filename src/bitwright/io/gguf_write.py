"""Write GGUF version 3, little-endian, with one tensor in memory at a time."""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from bitwright.errors import UsageError
from bitwright.formats import Format
from bitwright.io.atomic import replacing
from bitwright.io.gguf_metadata import Metadata
from bitwright.io.gguf_parse import DEFAULT_ALIGNMENT, LENGTH, MAGIC, MAX_DIMENSIONS
from bitwright.io.gguf_values import DTYPES, STRING, Typed, guess_type, type_numbers

VERSION = 3
QUANTIZATION_VERSION = 2  # of ggml's block layouts: general.quantization_version
SUFFIX = ".gguf"
MAX_KEY_BYTES = 65535  # by the specification
MAX_NAME_BYTES = 63  # the most that llama.cpp holds

Tensor = tuple[str, tuple[int, ...], Format, Callable[[], Any]]


class Layout(NamedTuple):
    """How a file is laid out: its header, the bytes of each tensor's data, and the bytes in all."""

    header: list[bytes]
    alignment: int
    sizes: list[int]
    total: int


def layout(
    metadata: Mapping[str, Any], tensors: Iterable[tuple[str, tuple[int, ...], Format]], more: int = 0
) -> Layout:
    """The layout of a file with this metadata and these tensors; more: extra bytes of the header.

    Raises UsageError for names, shapes or values that GGUF cannot hold.
    """
    tensors = list(tensors)
    repeated = [name for name, times in Counter(name for name, *_ in tensors).items() if times > 1]
    if repeated:
        raise UsageError(f"tensor {repeated[0]} occurs more than once")
    alignment = _alignment(metadata)
    sizes = [_nbytes(*tensor) for tensor in tensors]
    header = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    header += [_value(key, value) for key, value in metadata.items()]
    offset = 0
    for (name, shape, format), nbytes in zip(tensors, sizes, strict=True):
        header.append(_info(name, shape, format, offset))
        offset += nbytes + -nbytes % alignment
    before = sum(map(len, header)) + more
    return Layout(header, alignment, sizes, before + (-before % alignment + offset if tensors else 0))


def write(path: str | Path, metadata: Mapping[str, Any], tensors: Iterable[Tensor]) -> int:
    """Write a GGUF file in full or not at all; returns its size in bytes.

    `metadata` maps keys to `Typed` values, or to plain ones whose type is guessed (`gguf_values.guess_type`); the
    metadata of an open GGUF keeps its types. A tensor is `(name, shape in NumPy order, format, data)`: `data()` is
    called once, when its turn comes, and returns the bytes, or an array that holds them in C order.
    Raises UsageError for names, shapes, values or data that GGUF cannot hold, BitwrightError if writing fails.
    """
    typed = metadata.typed() if isinstance(metadata, Metadata) else metadata
    tensors = list(tensors)
    planned = layout(typed, (tensor[:3] for tensor in tensors))
    with replacing(path) as file:
        return _fill(file, planned, tensors)


def write_parts(path: Path, metadata: Mapping[str, Any], tensors: Iterable[Tensor], most: int) -> list[Path]:
    """Write a file as `write` does, or if it is larger than `most` bytes, a set of files named as llama.cpp names them:
    m-00001-of-00003.gguf for m.gguf. Returns the files; all of them appear, the first one last, or none.

    Raises what `write` raises, and UsageError if a tensor alone, or all metadata, are larger than `most`.
    """
    tensors = list(tensors)
    parts = _parts(metadata, tensors, most)
    if len(parts) == 1:
        write(path, metadata, tensors)
        return [path]
    stem = path.name[: -len(SUFFIX)] if path.name.lower().endswith(SUFFIX) else path.name
    paths = [path.with_name(part_name(stem, n, len(parts))) for n in range(1, len(parts) + 1)]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(replacing(part)) for part in paths]
        for number, (file, part) in enumerate(zip(files, parts, strict=True)):
            keys = _split_keys(number, len(parts), len(tensors))
            planned = layout(keys if number else {**metadata, **keys}, (tensor[:3] for tensor in part))
            _fill(file, planned, part)
    return paths


def part_name(stem: str, number: int, count: int, suffix: str = SUFFIX) -> str:
    """What llama.cpp calls file `number`, from 1, of a set."""
    return f"{stem}-{number:05}-of-{count:05}{suffix}"


def _fill(file: BinaryIO, planned: Layout, tensors: list[Tensor]) -> int:
    """Write a file as it was planned; returns its bytes."""
    file.writelines(planned.header)
    for (name, _, _, data), nbytes in zip(tensors, planned.sizes, strict=True):
        file.write(bytes(-file.tell() % planned.alignment))
        file.write(_bytes(name, data(), nbytes))
    if tensors:
        file.write(bytes(-file.tell() % planned.alignment))
    return file.tell()


def _parts(metadata: Mapping[str, Any], tensors: list[Tensor], most: int) -> list[list[Tensor]]:
    """The tensors of each file of a set, in order: as many as fit. The first may hold metadata alone."""
    planned = layout(metadata, (tensor[:3] for tensor in tensors))
    if planned.total <= most:
        return [tensors]
    align = max(planned.alignment, DEFAULT_ALIGNMENT)
    keys = sum(map(len, layout(_split_keys(0, 1, 0), ()).header)) + align
    infos = planned.header[len(planned.header) - len(tensors) :]
    used = keys + sum(map(len, planned.header)) - sum(map(len, infos))
    if used > most:
        raise UsageError(f"the metadata alone take {used} bytes, more than a file may have ({most})")
    parts: list[list[Tensor]] = [[]]
    for tensor, info, nbytes in zip(tensors, infos, planned.sizes, strict=True):
        needed = len(info) + nbytes + -nbytes % align
        if keys + needed > most:
            raise UsageError(f"tensor {tensor[0]} alone takes {needed} bytes, more than a file may have ({most})")
        if used + needed > most:
            parts.append([])
            used = keys
        parts[-1].append(tensor)
        used += needed
    return parts


def _split_keys(number: int, count: int, tensors: int) -> dict[str, Typed]:
    """The keys of a file of a set, by llama.cpp's names and types (tools/gguf-split)."""
    return {
        "split.no": Typed(number, "uint16"),
        "split.count": Typed(count, "uint16"),
        "split.tensors.count": Typed(tensors, "int32"),
    }


def _alignment(metadata: Mapping[str, Any]) -> int:
    value = metadata.get("general.alignment", Typed(DEFAULT_ALIGNMENT, "uint32"))
    alignment = value.value if isinstance(value, Typed) else value
    if not isinstance(alignment, int) or not 1 <= alignment < 1 << 32 or alignment.bit_count() != 1:
        raise UsageError(f"general.alignment: expected a power of two below 2^32, got {alignment!r}")
    return alignment


def _value(key: str, value: Any) -> bytes:
    """One metadata entry: the key, the type, the value."""
    try:
        value = value if isinstance(value, Typed) else Typed(value, guess_type(value))
        kind, element = type_numbers(value.type)
        head = _string(key, 1, MAX_KEY_BYTES) + struct.pack("<I", kind)
        if element is None:
            return head + (_text(value.value) if kind == STRING else _numbers(kind, value.value, 0))
        items = value.value
        payload = b"".join(map(_text, items)) if element == STRING else _numbers(element, items, 1)
        return head + struct.pack("<IQ", element, len(items)) + payload
    except (ValueError, TypeError, OverflowError, FloatingPointError) as error:
        raise UsageError(f"metadata {key!r}: {error}") from error


def _numbers(kind: int, value: Any, dimensions: int) -> bytes:
    """Numbers in their stored form; raises ValueError if that changes one by more than float rounding."""
    dtype = DTYPES[kind]
    whole = dtype.kind in "iu" and isinstance(value, list) and all(type(item) is int for item in value)
    given = np.array(value, dtype) if whole else np.asarray(value)  # NumPy would turn large ints into floats
    fitting = {"b": "b", "f": "fiu"}.get(dtype.kind, "iu")
    if given.ndim != dimensions or (given.size and given.dtype.kind not in fitting):
        raise ValueError(f"expected {dtype.name}{'s' * dimensions}, got {given.dtype.name} of shape {given.shape}")
    with np.errstate(over="raise"):
        stored = given.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(stored, given):
        raise ValueError(f"expected values of {dtype.name}, got {given.min()} to {given.max()}")
    return stored.tobytes()


def _text(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected a string, got {text!r}")
    encoded = text.encode("utf-8", "surrogateescape")
    return LENGTH.pack(len(encoded)) + encoded


def _string(name: str, shortest: int, longest: int) -> bytes:
    """A key or a tensor name, which unlike other strings must be UTF-8 and of limited length."""
    encoded = name.encode()
    if not shortest <= len(encoded) <= longest:
        raise ValueError(f"expected a name of {shortest} to {longest} bytes, got {len(encoded)}")
    return LENGTH.pack(len(encoded)) + encoded


def _nbytes(name: str, shape: tuple[int, ...], format: Format) -> int:
    if not 1 <= len(shape) <= MAX_DIMENSIONS or min(shape) < 1:
        raise UsageError(f"tensor {name}: expected 1 to {MAX_DIMENSIONS} dimensions of at least 1, got {shape}")
    if format.ggml is None:
        raise UsageError(f"tensor {name}: GGUF has no type for the format {format.name}")
    if shape[-1] % format.block_size:
        raise UsageError(f"tensor {name}: {format.name} blocks of {format.block_size} do not divide {shape[-1]}")
    return format.stored_bytes(shape)


def _info(name: str, shape: tuple[int, ...], format: Format, offset: int) -> bytes:
    try:
        head = _string(name, 1, MAX_NAME_BYTES)
    except ValueError as error:
        raise UsageError(f"tensor {name!r}: {error}") from error
    return head + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), format.ggml, offset)


def _bytes(name: str, data: Any, nbytes: int) -> memoryview:
    content = np.ascontiguousarray(data).data if isinstance(data, np.ndarray) else memoryview(data)
    if content.nbytes != nbytes:
        raise UsageError(f"tensor {name}: expected {nbytes} bytes of data, got {content.nbytes}")
    return content
