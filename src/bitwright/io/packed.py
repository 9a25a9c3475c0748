"""Packed weights in a file of the cache: a model opens at once, and one that is larger than memory runs.

The file holds what a bank packs, in the order in which it packs it, and is mapped: the system reads the pages that are
used, and may drop them. Its name is a hash of what its bytes depend on: the model's files, the compiled module, which
knows the layout, and the tier.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError
from bitwright.io import atomic
from bitwright.io.aliases import cache_folder

FOLDER = "packed"  # in the cache


def known_as(paths: Sequence[Path], *about: str) -> str:
    """A name for what is made of a model's files by this build of the kernels: a hash of the files' identity (size,
    time of change, number on disk), the compiled module, and whatever else it depends on."""
    from bitwright import kernels

    known = [(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev) for found in map(os.stat, paths)]
    return hashlib.sha256(json.dumps([known, *about, kernels.digest()]).encode()).hexdigest()[:32]


class PackedFile:
    """Room for the packed weights of the model in `paths`, for the kernels of a tier."""

    def __init__(self, paths: Sequence[Path], tier: str) -> None:
        self.path = cache_folder() / FOLDER / f"{known_as(paths, tier)}.bin"

    def held(self, size: int) -> NDArray[np.uint8] | None:
        """The `size` bytes of the packed weights; None if there is no such file, or one of another size. BitwrightError
        if it cannot be read."""
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size == size:
                    return self._mapped(file.fileno(), size, mmap.ACCESS_READ)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BitwrightError(f"cannot read {self.path}: {error.strerror or error}") from error
        return None

    @contextlib.contextmanager
    def room(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Memory for `size` bytes of packed weights, which are kept once the block has ended. BitwrightError if they
        cannot be: the disk may be full."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BitwrightError(f"cannot write {self.path}: {error.strerror or error}") from error
        with atomic.replacing(self.path) as file:
            _reserve(file.fileno(), size)
            yield self._mapped(file.fileno(), size, mmap.ACCESS_WRITE)

    def _mapped(self, file: int, size: int, access: int) -> NDArray[np.uint8]:
        from bitwright.kernels import mapping

        return np.frombuffer(mapping.guard(mmap.mmap(file, size, access=access), self.path), np.uint8)


def _reserve(file: int, size: int) -> None:
    """Give an empty file its size, and where the system can, its room on the disk: writing to a mapping for which there
    is none would end the process."""
    reserve: Any = getattr(os, "posix_fallocate", None)
    if reserve:
        reserve(file, 0, size)
    else:
        os.ftruncate(file, size)
