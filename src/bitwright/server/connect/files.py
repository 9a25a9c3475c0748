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


def changed(file: File) -> str | None:
    """The text that a file is to have; None if it has the settings already. Raises merging.CannotMergeError if the
    settings cannot be put into it, or it cannot be read."""
    try:
        if file.path.exists() and file.path.stat().st_size > LONGEST:
            raise merging.CannotMergeError("it is too long for a file of settings")
        old = file.path.read_bytes().decode() if file.path.exists() else ""
    except UnicodeDecodeError:
        raise merging.CannotMergeError("it is no text in UTF-8") from None
    new = merging.merge(old, file.settings, file.format, file.once)
    return None if new == old else new


def write(file: File, text: str) -> Path | None:
    """Give a file another text, and return the copy of what it was; None if it is new."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    copy = backup(file.path) if file.path.exists() else None
    with atomic.replacing(file.path) as part:
        if copy is None and (restrict := getattr(os, "fchmod", None)):
            restrict(part.fileno(), PRIVATE)
        part.write(text.encode())
    return copy


def backup(path: Path) -> Path:
    """A copy of a file beside it, under a name that no file has: FILE.bak, FILE.bak2 and so on."""
    for number in range(1, 1000):
        copy = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        try:
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        except FileExistsError:
            continue
        shutil.copy2(path, copy)
        return copy
    raise BitwrightError(f"{path} has 999 backups beside it: remove some")
