"""The progress of a long calibration, saved in a folder next to its output, so that an interrupted run can resume."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
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
    """`output`.partial/: a file of sums for each pass. `key` identifies the run; a folder of another run raises
    UsageError, because only the user knows which of the two to keep."""

    def __init__(self, output: Path, key: str) -> None:
        self.folder, self.key = output.with_name(output.name + ".partial"), key

    def of(self, index: int) -> Pass:
        """The file of pass `index`."""
        return Pass(self.folder / f"{index}.npz", self.key)

    def remove(self) -> None:
        """Delete the passes, once their sums are in the finished file, and the folder unless it holds anything else."""
        sweep(self.folder)
        for path in self.folder.glob("*.npz"):  # a short run has saved nothing
            if path.stem.isdecimal():
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()


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
