"""Atomic writing: a file appears complete or not at all, whatever interrupts the writer."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bitwright import system
from bitwright.errors import BitwrightError, UsageError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that replaces `path` when the block ends or vanishes if it raises.

    The bytes go to a hidden `.part` file next to the target, reach the disk (fsync), and only then get the name
    (rename, then fsync of the directory). A symbolic link stays, and the file it points to is replaced. A killed
    process can leave its `.part` file behind, but never a damaged target.
    Raises UsageError if the target exists and is not a regular file, BitwrightError if writing fails.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise UsageError(f"cannot write {path}: it exists and is not a regular file")
    part = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.part")
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        system.sync_directory(target.parent)
    except OSError as error:
        raise BitwrightError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
