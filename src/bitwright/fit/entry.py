"""One file of the palette: the bytes of a tensor in one format, what they cost, and checksums of both.

A header (magic, key, length of the data, objective, SHA-256 of the data, SHA-256 of all that), then the data. Equal
work gives equal files.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError
from bitwright.io.atomic import replacing
from bitwright.kernels import mapping

MAGIC = b"bwpalet1"
FIELDS = struct.Struct("<8s32sQd32s")
HEADER = 128  # a multiple of every vector's size
UNUSED = bytes(HEADER - FIELDS.size - 32)
SUFFIX = ".tensor"


@dataclass(frozen=True)
class Header:
    """objective: what the codes cost (`Palette.objective`). digest: SHA-256 of the data."""

    key: str
    length: int
    objective: float
    digest: bytes


def write(path: Path, key: str, data: NDArray[np.uint8], objective: float) -> None:
    """Write an entry; it appears in full or not at all, and what a power failure damages is noticed."""
    fields = FIELDS.pack(MAGIC, bytes.fromhex(key), data.nbytes, objective, hashlib.sha256(data.data).digest())
    with replacing(path, durable=False) as file:
        file.write(fields + hashlib.sha256(fields).digest() + UNUSED)
        file.write(data.data)


def header(path: Path, key: str, length: int) -> Header | None:
    """The header of the entry of this key and length; None if there is none, or the file is damaged or another's."""
    try:
        if path.stat().st_size != HEADER + length:
            return None
        with path.open("rb") as file:
            start = file.read(HEADER)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error
    fields = start[: FIELDS.size]
    if start[FIELDS.size :] != hashlib.sha256(fields).digest() + UNUSED:
        return None
    magic, own, *found = FIELDS.unpack(fields)
    result = Header(own.hex(), *found)
    return result if (magic, result.key, result.length) == (MAGIC, key, length) else None


def mapped(path: Path) -> mmap.mmap | None:
    """The whole file, mapped read-only; None if it vanished. BitwrightError if the system refuses."""
    try:
        with path.open("rb") as file:
            return mapping.guard(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path)
    except (FileNotFoundError, ValueError):  # ValueError: it is empty by now
        return None
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error


def data(buffer: mmap.mmap) -> NDArray[np.uint8]:
    """The data of a mapped entry."""
    return np.frombuffer(buffer, np.uint8, offset=HEADER)


def is_sound(found: Header, buffer: mmap.mmap) -> bool:
    """Whether the data of a mapped entry are those that were written."""
    return len(buffer) == HEADER + found.length and hashlib.sha256(data(buffer).data).digest() == found.digest
