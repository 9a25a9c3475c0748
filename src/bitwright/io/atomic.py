"""Atomic writing: a file appears complete or not at all, whatever interrupts the writer."""

from __future__ import annotations

import contextlib
import os
import secrets
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
        target = Path(os.path.realpath(path))
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = None
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


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, that replaces `path` when the block ends or vanishes if it raises.

    The bytes go to a hidden `.part` file next to the target, reach the disk (fsync), and only then get the name
    (rename, then fsync of the directory). A symbolic link stays, and the file it points to is replaced. A killed
    process can leave its `.part` file behind, but never a damaged target.
    Raises UsageError as `check` does, BitwrightError if writing fails.
    """
    target = check(path)
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
