"""Every tensor in every format, quantized once and kept on disk, from which candidates are put together.

An entry is found by its content (`keys`), so models that share a tensor share its entries, and so do processes.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from bitwright import kernels, system
from bitwright.errors import BitwrightError
from bitwright.fit import entry
from bitwright.fit.keys import Keys, Pair
from bitwright.formats import Format, QuantizedTensor
from bitwright.io import atomic
from bitwright.io.aliases import cache_folder
from bitwright.io.gguf import GGUF
from bitwright.progress import Progress
from bitwright.quantizers.objective import objective
from bitwright.quantizers.quantizer import Quantizer

FULL = errno.ENOSPC, errno.EDQUOT
Found = TypeVar("Found")


class Palette:
    """The tensors of `model` in any format, by `quantizer`, in `folder` (default: bitwright's cache).

    A tensor that has the format already comes from the model's file; all others are built once and mapped from disk. A
    damaged file is built anew. Several processes may use one folder.
    """

    def __init__(self, model: GGUF, quantizer: Quantizer, folder: Path | None = None) -> None:
        self.model, self.quantizer = model, quantizer
        self.folder = folder or cache_folder() / "palette"
        self._keys = Keys(model, quantizer)
        self._mapped: weakref.WeakValueDictionary[Pair, mmap.mmap] = weakref.WeakValueDictionary()
        self._sound: set[Pair] = set()  # whose data were checked
        self._worked, self._seconds = 0.0, 0.0
        self._make_folder()
        atomic.sweep(self.folder)
        system.allow_open_files()  # each mapped tensor is one

    @property
    def bytes(self) -> int:
        """Bytes on disk of all entries in the folder."""
        found = 0
        for path in self.folder.glob(f"*{entry.SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found += path.stat().st_size
        return found

    def has(self, name: str, format: Format) -> bool:
        """Whether `tensor` needs to build nothing, unless the file's data turn out to be damaged."""
        return self._is_source(name, format) or self._header(name, format) is not None

    def tensor(self, name: str, format: Format) -> QuantizedTensor:
        """The tensor in this format, read-only, at the same place in memory as long as anyone holds its data.

        Built first if it is missing: UsageError, UnsupportedError or BitwrightError if it cannot be.
        """
        if self._is_source(name, format):
            return self.model.tensor(name)
        buffer = self._mapped.get((name, format)) or self._map(name, format)
        if buffer is None:
            self._build(name, format)
            buffer = self._written(self._map(name, format), name, format)
        self._mapped[name, format] = buffer
        return QuantizedTensor(name, self.model.tensors[name].shape, format, entry.data(buffer))

    def objective(self, name: str, format: Format) -> float:
        """tr(E H E') of the tensor's error E in this format, with the damped second moments H of its inputs; without
        them, the squared error weighted by importance if that is known. Built first if it is missing."""
        if self._is_source(name, format):
            return 0.0
        if (found := self._header(name, format)) is None:
            self._build(name, format)
            found = self._written(self._header(name, format), name, format)
        return found.objective

    @property
    def pace(self) -> float:
        """Seconds for one of `Quantizer.work`, as earlier builds took."""
        return self._seconds / self._worked if self._worked else 1 / (self.quantizer.threads or kernels.usable_cores())

    def seconds(self, name: str, format: Format) -> float:
        """About how long building this takes; 0 if it is there."""
        return 0.0 if self.has(name, format) else self.pace * self._work(name, format)

    def build(self, pairs: Iterable[Pair], progress: Progress | None = None) -> None:
        """Build those of these that are missing, tensors that share their inputs' second moments one after the other.

        Interrupted at any moment, the same call goes on where it was. progress(done, total, tensor name) is called
        before each, in seconds of `Quantizer.work`.
        """
        wanted = [pair for pair in self._ordered(pairs) if not self.has(*pair)]
        works = [self._work(*pair) for pair in wanted]
        total, done, others = sum(works), 0.0, list[Pair]()
        for (name, format), work in zip(wanted, works, strict=True):
            if progress:
                progress(done, total, name)
            if not self._build(name, format, wait=False):
                others.append((name, format))
            done += work
        for pair in others:
            self._build(*pair)

    def remove(self) -> None:
        """Remove all entries in the folder; those that are mapped stay readable until they are let go."""
        try:
            for path in self.folder.glob(f"*{entry.SUFFIX}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise BitwrightError(f"cannot remove {error.filename}: {error.strerror or error}") from error

    # -- files

    def _is_source(self, name: str, format: Format) -> bool:
        return self.model.tensors[name].format is format

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BitwrightError(f"cannot keep a palette in {self.folder}: {error.strerror}") from error

    def _path(self, name: str, format: Format) -> Path:
        return self.folder / f"{self._keys.of(name, format)}{entry.SUFFIX}"

    def _header(self, name: str, format: Format) -> entry.Header | None:
        length = format.stored_bytes(self.model.tensors[name].shape)
        return entry.header(self._path(name, format), self._keys.of(name, format), length)

    def _map(self, name: str, format: Format) -> mmap.mmap | None:
        """The entry's file; None if there is none that is sound. Its data are checked once."""
        found = self._header(name, format)
        buffer = entry.mapped(self._path(name, format)) if found else None
        if found is None or buffer is None:
            return None
        if (name, format) not in self._sound and not entry.is_sound(found, buffer):
            del buffer  # Windows removes no mapped file
            self._path(name, format).unlink(missing_ok=True)
            return None
        self._sound.add((name, format))
        return buffer

    # -- building

    def _work(self, name: str, format: Format) -> float:
        return self.quantizer.work(self.model.tensors[name], format)

    def _ordered(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Each pair once: tensors in the model's order, but those with the same second moments together."""
        names, hessians = self.model.tensors, self.quantizer.hessians
        place = {name: index for index, name in enumerate(hessians.together(names) if hessians else names)}
        return sorted(dict.fromkeys(pairs), key=lambda pair: place[pair[0]])

    def _build(self, name: str, format: Format, wait: bool = True) -> bool:
        """Write the entry unless it is there; False, without `wait`, if someone else is just writing it."""
        self._make_folder()  # `bitwright rm palette` may have removed it
        with self._errors(name, format), atomic.claimed(self._path(name, format), wait) as alone:
            if (alone or wait) and not self.has(name, format):
                self._write(name, format)
            return alone or wait

    def _write(self, name: str, format: Format) -> None:
        self.model.release()  # pages of earlier tensors
        started, source = time.monotonic(), self.model.tensor(name)
        built, reached = self.quantizer.encode(source, format)
        if reached is None:
            reached = objective(source, built, self.quantizer)
        self._worked += self._work(name, format)
        self._seconds += time.monotonic() - started
        entry.write(self._path(name, format), self._keys.of(name, format), built.data, reached)

    @contextlib.contextmanager
    def _errors(self, name: str, format: Format) -> Iterator[None]:
        """One line for what the system refuses, with what to do about a full disk."""
        try:
            yield
        except (BitwrightError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            if cause.errno not in FULL:
                raise BitwrightError(f"cannot write to the palette in {self.folder}: {cause.strerror}") from error
            size = f"{self.bytes / 1e9:.1f} GB"
            raise BitwrightError(
                f"no room for {name} in {format.name}: the disk with {self.folder} is full; free some of it "
                f"(the palette there takes {size}; `bitwright rm palette` removes bitwright's own), then run again"
            ) from error

    def _written(self, found: Found | None, name: str, format: Format) -> Found:
        """What was found of an entry that was just built."""
        if found is None:
            raise BitwrightError(f"{self._path(name, format)} was damaged as soon as it was written: check the disk")
        return found
