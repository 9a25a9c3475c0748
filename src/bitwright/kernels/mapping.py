"""Files mapped into memory, which another program may shorten while they are read.

Reading past the end of such a file would end the process (SIGBUS). `guard` makes such a read find zeros, and `check`
turns them into an error before anyone takes them for data.
"""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.kernels import _native

SHORTER = "became shorter while it was read: run again once it is whole"
_guarded: dict[int, tuple[weakref.ref[mmap.mmap], Path, int]] = {}  # by id: its number in the compiled module

_spoiled: list[Path] = []  # files that became shorter and are no longer mapped


def guard(buffer: mmap.mmap, path: Path) -> mmap.mmap:
    """Guard a mapped file until it is unmapped; returns `buffer`."""
    core, key = _native.core(), id(buffer)
    number = core.guard_mapping(np.frombuffer(buffer, np.uint8))
    _guarded[key] = weakref.ref(buffer), path, number

    def forget() -> None:
        del _guarded[key]
        if core.torn(number):
            _spoiled.append(path)
        core.forget_mapping(number)

    weakref.finalize(buffer, forget)
    return buffer


def skip_strings(buffer: mmap.mmap | bytes, at: int, count: int) -> tuple[int, int, int]:
    """Step over the strings of a GGUF array from byte `at` of `buffer`, at most `count`, as far as they fit: where the
    next one would begin, where the last one begins, and how many there are."""
    found: tuple[int, int, int] = _native.core().skip_strings(np.frombuffer(buffer, np.uint8), at, count)
    return found


def check() -> None:
    """BitwrightError if a mapped file has become shorter: what was read from it since may be zeros."""
    for reference, path, number in list(_guarded.values()):
        buffer = reference()
        if buffer is not None and (_native.core().torn(number) or buffer.size() < len(buffer)):
            raise BitwrightError(f"{path} {SHORTER}")


def complaint() -> str | None:
    """What is to be said, once, of the files mapped now or before."""
    try:
        check()
    except BitwrightError as error:
        return str(error)
    return f"{_spoiled.pop()} {SHORTER}" if _spoiled else None
