"""SHA-256 of files, which tie a measurement to the files it was made on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bitwright.errors import BitwrightError
from bitwright.progress import Progress

PIECE = 1 << 22


def sha256(paths: Iterable[Path], progress: Progress | None = None) -> str:
    """SHA-256 of the files' bytes, concatenated, in hexadecimal; BitwrightError if one cannot be read."""
    import hashlib

    digest, paths = hashlib.sha256(), list(paths)
    try:
        total, done = sum(path.stat().st_size for path in paths), 0
        for path in paths:
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    done += len(piece)
                    if progress:
                        progress(done, total, path.name)
    except OSError as error:
        raise BitwrightError(f"cannot read {error.filename}: {error.strerror}") from error
    return digest.hexdigest()
