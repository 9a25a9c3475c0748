"""The files of tests/data as they are used: those over 64 kB are stored with xz."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


def unpacked(folder: Path) -> Path:
    """`folder`, holding every file of tests/data, decompressed."""
    for source in (path for path in DATA.rglob("*") if path.is_file()):
        target = folder / source.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".xz":
            target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
        else:
            shutil.copyfile(source, target)
    return folder
