"""Small GGUF files, built byte by byte, for tests of the reader."""

from __future__ import annotations

import struct

import numpy as np

from bitwright import formats
from bitwright.io.gguf import Typed

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string")
TYPES += ("uint64", "int64", "float64")


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def header(version: int, tensors: int, values: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values)


def uint32(key: str, value: int) -> bytes:
    return string(key) + struct.pack("<II", 4, value)


def info(name: str, dims: tuple[int, ...], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def file(infos: list[bytes], data: bytes = b"", values: list[bytes] | None = None) -> bytes:
    head = header(3, len(infos), len(values or [])) + b"".join([*(values or []), *infos])
    return head + bytes(-len(head) % 32) + data


def tensors(count: int = 2, format: str = "f32", shape: tuple[int, ...] = (3, 32)) -> list:
    """Tensors to write, with distinct data."""
    kind = formats.get(format)
    nbytes = int(np.prod(shape[:-1])) * kind.row_bytes(shape[-1])
    return [(f"t{i}", shape, kind, lambda i=i: bytes([i + 1]) * nbytes) for i in range(count)]


METADATA = {
    "general.architecture": "llama",
    "t.u8": Typed(255, "uint8"),
    "t.f32": Typed(0.1, "float32"),
    "t.bool": True,
    "t.text": "größer ☃",
    "t.tokens": ["a", "", "ü"],
    "t.scores": Typed([1.0, -2.5], "array[float32]"),
    "t.none": Typed([], "array[string]"),
}
