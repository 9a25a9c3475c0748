"""The files that the work at hand reads, which nothing may write over meanwhile."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bitwright.errors import BitwrightError, FileFormatError, UsageError

Key = tuple[int, int]  # device and inode: what a file is, whatever it is called

LARGEST_TEXT = 1 << 30  # bytes
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass
class _Guard:
    """The files read so far, by the names they were given, and those that may be replaced all the same."""

    read: dict[Key, str] = field(default_factory=dict)
    released: set[Key] = field(default_factory=set)


_guard: ContextVar[_Guard | None] = ContextVar("guard", default=None)


@contextlib.contextmanager
def protected() -> Iterator[None]:
    """Until the block ends, `atomic` refuses to write over any file that `add` was called for in it."""
    outer = _guard.get()
    token = _guard.set(_Guard(dict(outer.read), set(outer.released)) if outer else _Guard())
    try:
        yield
    finally:
        _guard.reset(token)


def add(path: str | os.PathLike[str] | int, name: str | None = None) -> None:
    """Protect a file (a path, or the number of an open file); what is not there needs no protection."""
    if (guard := _guard.get()) is not None and (key := _key(path)) is not None:
        guard.read.setdefault(key, name or str(path))


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, protected and open for reading. BitwrightError if it cannot be read, or is none: a pipe would block."""
    add(path)
    try:
        if (kind := KINDS.get(stat.S_IFMT(os.stat(path).st_mode))) is not None:
            raise BitwrightError(f"cannot read {path}: expected a file, found {kind}")
        return open(path, "rb")
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error


def mapped(path: Path, kind: str) -> mmap.mmap:
    """A file, protected and mapped for reading; kind: what it should be, "a GGUF file". FileFormatError if it is empty,
    BitwrightError if it cannot be read."""
    from bitwright.kernels import mapping

    try:
        with opened(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise FileFormatError(path, 0, kind, "an empty file")
            return mapping.guard(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path)
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error


def read(path: Path, most: int, what: str) -> bytes:
    """All bytes of a file, protected. FileFormatError if there are more than `most`, which `what` (a JSON text) has;
    BitwrightError if it cannot be read."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise FileFormatError(path, None, f"{what} of at most {most >> 20} MiB", "more")
    return data


def read_text(path: Path, most: int, what: str) -> str:
    """The same as UTF-8; FileFormatError where it is none."""
    data = read(path, most, what)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(path, error.start, "UTF-8", f"byte 0x{data[error.start]:02x}") from None


def whole(file: BinaryIO, name: object) -> bytes:
    """All bytes of a stream. UsageError if there are more than a text has: /dev/zero never ends."""
    data = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        raise UsageError(f"{name}: expected a text of at most {LARGEST_TEXT >> 20} MiB, found more")
    return data


def release(path: str | os.PathLike[str]) -> None:
    """Let a file be replaced although it is read: the work is to change it."""
    if (guard := _guard.get()) is not None and (key := _key(path)) is not None:
        guard.released.add(key)


def name_of(path: str | os.PathLike[str]) -> str | None:
    """What a protected file was called when it was read, None if `path` may be written."""
    guard, key = _guard.get(), _key(path)
    return None if guard is None or key is None or key in guard.released else guard.read.get(key)


def _key(path: str | os.PathLike[str] | int) -> Key | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return None
    return found.st_dev, found.st_ino
