"""Beginnings of texts whose keys and values are kept on disk, so that a restarted server need not read them again.

A file holds the ids of a beginning and a sequence's memory (`Session.save`), under a name made of the ids. A folder
holds the beginnings read by one model, with one layout of memory, by one build of the kernels. Files are written by a
thread of their own, whole or not at all; damaged ones are noticed and removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bitwright.engine.slots import common
from bitwright.errors import BitwrightError, UsageError
from bitwright.io import atomic
from bitwright.io.aliases import cache_folder
from bitwright.io.packed import known_as

if TYPE_CHECKING:
    from bitwright.engine.session import Session

FOLDER = "prefixes"  # in the cache
LEAST = 512  # tokens that a file must save from being read again
WAITING = 4  # texts to be written; more are left out
MAGIC = b"bitwright prefix 1\n"
HEADER = struct.Struct("<QQL")  # ids, bytes of memory, their CRC-32

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Stored:
    """One file and the ids of its text."""

    path: Path
    ids: list[int]
    bytes: int


class Prefixes:
    """The beginnings that are stored for a session's model, at most `limit` bytes of them.

    Raises BitwrightError if their folder cannot be made.
    """

    def __init__(self, session: Session, limit: int) -> None:
        self.session, self.limit = session, limit
        engine = session.engine
        config = engine.config
        about = [config.architecture, str(config.is_long), session.memory.native.layout, engine.options.activations]
        self.folder = cache_folder() / FOLDER / known_as(engine.model.opened().paths, *about)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.sweep(self.folder)
        except OSError as error:
            raise BitwrightError(f"cannot keep prompts in {self.folder}: {error.strerror or error}") from error
        self.held = [found for path in sorted(self.folder.glob("*.kv")) if (found := _about(path)) is not None]
        self._lock = threading.Lock()
        self._coming: list[list[int]] = []  # texts that are being written
        self._copied = 0  # bytes of their memory
        self._writer = ThreadPoolExecutor(1, "bitwright-prefixes")

    def best(self, ids: Sequence[int], most: int) -> tuple[Stored | None, int]:
        """The file that saves reading most of the first `most` tokens of `ids`, and how many."""
        forgets = self.session.memory.forgets
        with self._lock:
            lengths = [(min(common(own.ids, ids), most), own) for own in self.held if self._fits(own)]
        usable = [(n, own) for n, own in lengths if n == len(own.ids) or not forgets]
        length, best = max(usable, key=lambda found: found[0], default=(0, None))
        return best, length

    def restore(self, stored: Stored, sequence: int) -> bool:
        """Set a sequence to a stored text; False if the file is gone or damaged, and then it is no longer known."""
        try:
            with stored.path.open("rb") as file:
                _, saved = _read(file)
            self.session.restore(stored.ids, saved, sequence)
            os.utime(stored.path)  # the last to go
            return True
        except (OSError, ValueError, UsageError):
            self._forget(stored)
            return False

    def save(self, sequence: int) -> None:
        """Store what a sequence holds, if that saves enough reading, and there is room for the copy that is written. It
        is on disk some time later."""
        ids, memory = list(self.session.ids[sequence]), self.session.memory
        with self._lock:
            texts = (*self._coming, *(own.ids for own in self.held if self._fits(own)))
            known = max((common(own, ids) for own in texts), default=0)
            writing, free = len(self._coming), memory.room - memory.bytes_in_use - self._copied
        if len(ids) - known < LEAST or writing >= WAITING or memory.bytes_for(len(ids)) > free:
            return
        saved = self.session.save(sequence)
        if saved.nbytes <= self.limit:
            with self._lock:
                self._coming.append(ids)
                self._copied += saved.nbytes
            self._writer.submit(self._written, ids, saved)

    def _fits(self, stored: Stored) -> bool:
        """Whether a text fits the context: it may have been stored under a longer one."""
        return len(stored.ids) <= self.session.context

    def flush(self) -> None:
        """Wait until everything is on disk."""
        self._writer.submit(int).result()

    def _written(self, ids: list[int], saved: NDArray[np.uint8]) -> None:
        try:
            self._write(ids, saved)
        except BitwrightError as error:
            log.warning("prompts are no longer kept on disk: %s", error)
            self.limit = 0
        finally:
            with self._lock:
                self._coming.remove(ids)
                self._copied -= saved.nbytes

    def _write(self, ids: list[int], saved: NDArray[np.uint8]) -> None:
        text = np.asarray(ids, np.int32)
        path = self.folder / f"{hashlib.sha256(text.tobytes()).hexdigest()[:32]}.kv"
        size = len(MAGIC) + HEADER.size + text.nbytes + saved.nbytes
        self._make_room(size)
        with atomic.replacing(path) as file:
            file.write(MAGIC + HEADER.pack(len(ids), saved.nbytes, zlib.crc32(saved.data)) + text.tobytes())
            file.write(saved.data)
        with self._lock:
            held = [*self.held]
            self.held.append(Stored(path, ids, size))
        if not self.session.memory.forgets:  # the longer text serves for all its beginnings
            for own in held:
                if len(own.ids) < len(ids) and common(own.ids, ids) == len(own.ids):
                    self._forget(own)

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest until `size` more bytes are within the limit."""
        with self._lock:
            held = sorted(self.held, key=lambda own: _used(own.path))
        excess = sum(own.bytes for own in held) + size - self.limit
        for own in held:
            if excess <= 0:
                return
            self._forget(own)
            excess -= own.bytes

    def _forget(self, stored: Stored) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self.held.remove(stored)
        with contextlib.suppress(OSError):
            stored.path.unlink()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _about(path: Path) -> Stored | None:
    """A file's text; None, and the file is removed, if it is none of ours or incomplete."""
    try:
        with path.open("rb") as file:
            ids, _ = _read(file, memory=False)
            return Stored(path, ids, os.fstat(file.fileno()).st_size)
    except OSError:
        return None
    except ValueError:
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def _read(file: BinaryIO, memory: bool = True) -> tuple[list[int], NDArray[np.uint8]]:
    """The ids and, with `memory`, the saved sequence in a file. ValueError if it is damaged."""
    size, fixed = os.fstat(file.fileno()).st_size, len(MAGIC) + HEADER.size
    start = file.read(fixed)
    if len(start) < fixed or not start.startswith(MAGIC):
        raise ValueError("not a stored prefix")
    count, length, crc = HEADER.unpack(start[len(MAGIC) :])
    if size != fixed + 4 * count + length:
        raise ValueError("the file has another length than it says")
    ids = np.frombuffer(file.read(4 * count), np.int32).tolist()
    if not memory:
        return ids, np.empty(0, np.uint8)
    saved = np.fromfile(file, np.uint8, length)
    if len(saved) != length or zlib.crc32(saved.data) != crc:
        raise ValueError("the bytes of the file have changed")
    return ids, saved
