"""Atomic writing: a file appears complete or not at all, whatever interrupts the writer."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bitwright import system
from bitwright.errors import BitwrightError, UsageError
from bitwright.io import inputs


def check(path: str | Path) -> Path:
    """The file that writing to `path` makes or replaces; call it before long work, `replacing` does.

    Raises UsageError if it must not be written: it is read by the work at hand (`inputs`), is no regular file, lies in
    the Hugging Face cache, or its folder does not exist or cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))  # fails in a folder that was removed
        mode = _mode(path)
    except (OSError, ValueError) as error:  # symbolic links in a circle, a name that no file can have
        raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', error)}") from None
    if mode is not None and not stat.S_ISREG(mode):
        raise UsageError(f"cannot write {path}: it exists and is not a regular file; name another output")
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: you may not write in the folder {target.parent}")
    if (name := inputs.name_of(target)) is not None:
        other = "" if name == str(path) else f" as {name}"
        raise UsageError(f"cannot write {path}: the same command reads that file{other}; name another output")
    if any(folder.name.startswith("models--") and (folder / "blobs").is_dir() for folder in target.parents):
        raise UsageError(f"cannot write {path}: it lies in the Hugging Face cache, whose files stay as they were "
                         "downloaded; name another output")  # fmt: skip
    return target


def _mode(path: str | Path) -> int | None:
    """The mode of what `path` leads to; None if there is nothing yet."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def replacing(path: str | Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that replaces `path` when the block ends or vanishes if it raises.

    The bytes go to a hidden `.part` file in the target's folder, reach the disk (fsync), and only then get the name
    (rename, then fsync of the folder). A symbolic link stays, and the file it points to is replaced; its permissions
    stay. A killed process leaves its `.part` file, which the next writer in that folder removes, but never a damaged
    target. Without `durable` nothing waits for the disk, which suits a file whose reader notices if a power failure
    damaged it. Raises UsageError as `check` does, BitwrightError if writing fails or a file that was read became
    shorter.
    """
    from bitwright.kernels import mapping

    target = check(path)
    try:
        old = os.stat(target) if os.path.exists(target) else None
        sweep(target.parent)
        part, file = _part(target.parent, 0o666 if old is None else 0o600)
        try:
            with file:
                yield file
                mapping.check()
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                if old is not None:
                    system.copy_access(old, part)
                system.rename(file, part, target)
            if durable:
                system.sync_directory(target.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        mapping.check()  # writing from a file that became shorter fails too
        raise BitwrightError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` until the block ends; one that a killed process left is removed by the next `sweep`."""
    sweep(parent)
    folder = parent / _name()
    folder.mkdir(mode=0o700)
    try:
        with system.locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def claimed(path: Path, wait: bool) -> Iterator[bool]:
    """Yields whether this block alone, of all threads and processes, is to make the file `path`; with `wait`, once that
    is so. Two may make it at once where the system has no locks, or after one was killed. OSError if the folder cannot
    be written."""
    claim, held = path.with_name(f".bitwright-{path.name}.part"), False
    file = os.open(claim, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while (held := system.lock(file, wait)) and not _is_at(file, claim):  # swept away, or let go, before the lock
            os.close(file)
            file = os.open(claim, os.O_RDWR | os.O_CREAT, 0o666)
        yield held
    finally:
        os.close(file)
        if held or wait:
            with contextlib.suppress(OSError):
                claim.unlink()


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file is the one at `path`, and not one that was removed, even if there is another now."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def sweep(folder: Path) -> None:
    """Remove what killed writers left in `folder`: parts that no running process holds the lock of."""
    for part in folder.glob(".bitwright-*.part"):
        with contextlib.suppress(OSError), system.locked(part) as held:  # another user's, or gone meanwhile
            if held and part.is_dir():
                shutil.rmtree(part)
            elif held:
                part.unlink()


def _part(folder: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file in `folder`, locked so that no other process sweeps it away."""
    while True:
        part = folder / _name()
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode), "w+b")
        system.lock(file.fileno(), wait=True)
        if part.exists():  # else it was swept away before the lock
            return part, file
        file.close()


def _name() -> str:
    return f".bitwright-{os.urandom(6).hex()}.part"
