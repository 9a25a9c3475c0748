"""The progress of a long calibration, saved in a folder next to its output, so that an interrupted run can resume."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UsageError
from bitwright.io.atomic import replacing, sweep

SAVE_SECONDS = 120.0  # between one saving and the next


class Sums(Protocol):
    """Sums that can be saved between runs and continued."""

    def state(self) -> dict[str, NDArray[Any]]:
        """The sums as named arrays."""
        ...

    def restore(self, state: Callable[[str], NDArray[Any]]) -> None:
        """Take sums back; `state(name)` reads one array."""
        ...


class Partial:
    """`output`.partial/: a file of sums for each pass, and what passes hand on. `key` identifies the run; a folder of
    another run raises UsageError, because only the user knows which of the two to keep."""

    def __init__(self, output: Path, key: str) -> None:
        self.folder, self.key = output.with_name(output.name + ".partial"), key

    def of(self, index: int) -> Pass:
        """The file of pass `index`."""
        return Pass(self.folder / f"{index}.npz", self.key)

    def remove(self) -> None:
        """Delete the passes, once their sums are in the finished file, and the folder unless it holds anything else."""
        sweep(self.folder)
        for path in self.folder.glob("*"):  # a short run has saved nothing
            if path.stem.isdecimal() and path.suffix in (".npz", ".flow", ".gradient"):
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Border:
    """What crosses the border below a part of the model, from one pass to a later one: for each chunk the part's input
    ("flow") and the gradient there ("gradient"), float32 of shape (tokens, width)."""

    def __init__(self, folder: Path, part: int, shape: tuple[int, int]) -> None:
        self.folder, self.part, self.shape = folder, part, shape

    def write(self, what: str, number: int, values: NDArray[np.float32]) -> None:
        """Keep those of chunk `number`, of which 0 begins anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(what)
        try:
            with path.open("r+b" if number else "wb") as file:
                file.seek(number * values.nbytes)
                file.write(np.ascontiguousarray(values).data)
                file.flush()
                os.fsync(file.fileno())  # before a pass is saved that needs it
        except OSError as error:
            raise BitwrightError(f"cannot write {path}: {error.strerror or error}") from error

    def read(self, what: str, number: int) -> NDArray[np.float32]:
        """Those of chunk `number`; UsageError if they are not there."""
        path, count = self._path(what), math.prod(self.shape)
        found = np.empty(0, np.float32)
        if path.exists():
            found = np.fromfile(path, np.float32, count, offset=4 * count * number)
        if found.size < count:
            raise UsageError(f"{path} is damaged: remove {self.folder} to begin anew")
        return found.reshape(self.shape)

    def _path(self, what: str) -> Path:
        return self.folder / f"{self.part}.{what}"


class Pass:
    """The sums of one pass, and how many chunks they cover. `holder`: what a user removes to begin anew, the folder if
    not given."""

    def __init__(self, path: Path, key: str, holder: Path | None = None) -> None:
        self.path, self.key, self.holder = path, key, holder or path.parent

    def save(self, sums: Sequence[Sums], done: int) -> None:
        """Save the sums over `done` chunks, in full or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"{i}.{name}": v for i, own in enumerate(sums) for name, v in own.state().items()}
        with replacing(self.path) as file:
            np.savez(file, key=np.array(self.key), done=np.array(done), **arrays)

    def restore(self, sums: Sequence[Sums]) -> int:
        """Fill `sums` with the saved ones; returns how many chunks they cover, 0 if nothing was saved."""
        if not self.path.exists():
            return 0
        try:
            with np.load(self.path) as file:
                if str(file["key"]) != self.key:
                    raise UsageError(
                        f"{self.holder} holds an unfinished calibration with another model, text or setting: give "
                        "another output, or remove it"
                    )
                for i, own in enumerate(sums):
                    own.restore(lambda name, i=i: file[f"{i}.{name}"])  # type: ignore[misc]
                return int(file["done"])
        except (UsageError, MemoryError):
            raise
        except Exception as error:  # flipped bits of an archive make zipfile and NumPy raise nearly every kind
            raise UsageError(f"{self.path} is damaged ({error}): remove {self.holder} to begin anew") from error

    @cached_property
    def _file(self) -> Mapping[str, NDArray[Any]]:
        return cast(Mapping[str, NDArray[Any]], np.load(self.path))

    def read(self, index: int, name: str) -> NDArray[Any]:
        """One array of the sums number `index` of a finished pass."""
        return self._file[f"{index}.{name}"]
