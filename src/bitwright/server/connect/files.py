"""A client's file, changed or made: whole or not at all, and what it was before is kept beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bitwright.errors import BitwrightError
from bitwright.io import atomic
from bitwright.server.connect import merging
from bitwright.server.connect.clients import File

PRIVATE = 0o600  # a new file may hold a key
LONGEST = 1 << 24  # bytes of a file of settings
MARK = "\ufeff"  # what some editors begin a text in UTF-8 with


def changed(file: File) -> str | None:
    """The text that a file is to have, with its own ends of lines; None if it has the settings already. Raises
    merging.CannotMergeError if the settings cannot be put into it, or it cannot be read."""
    try:
        read = _read(file.path) if file.path.exists() else ""
    except UnicodeDecodeError:
        raise merging.CannotMergeError("it is no text in UTF-8") from None
    except OSError as error:
        raise merging.CannotMergeError(f"it cannot be read: {error.strerror}") from None
    mark = MARK if read.startswith(MARK) else ""
    end = "\r\n" if 0 < read.count("\n") == read.count("\r\n") else "\n"
    old = read.removeprefix(mark).replace(end, "\n")
    new = merging.merge(old, file.settings, file.format, file.once)
    return None if new == old else mark + new.replace("\n", end)


def _read(path: Path) -> str:
    if not path.is_file():
        raise merging.CannotMergeError("it is no regular file")
    if path.stat().st_size > LONGEST:
        raise merging.CannotMergeError("it is too long for a file of settings")
    return path.read_bytes().decode()


def write(file: File, text: str) -> Path | None:
    """Give a file another text, and return the copy of what it was; None if it is new. Raises BitwrightError if it
    cannot be written, and leaves no copy then."""
    copy = None
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        if file.path.exists():
            copy = unused(file.path)
            shutil.copy2(file.path, copy)
        with atomic.replacing(file.path) as part:
            if copy is None and (restrict := getattr(os, "fchmod", None)):
                restrict(part.fileno(), PRIVATE)
            part.write(text.encode())
    except (OSError, BitwrightError) as error:
        if copy is not None:
            copy.unlink()
        if isinstance(error, BitwrightError):
            raise
        raise BitwrightError(f"cannot write {file.path}: {error.strerror or error}") from None
    return copy


def unused(path: Path) -> Path:
    """A new file beside another, for a copy of it, under a name that no file has: FILE.bak, FILE.bak2 and so on."""
    for number in range(1, 1000):
        copy = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        try:
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        except FileExistsError:
            continue
        return copy
    raise BitwrightError(f"{path} has 999 backups beside it: remove some")
