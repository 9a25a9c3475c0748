"""The explorer as files that any web server can host: the pages, and every document they may ask for."""

from __future__ import annotations

from pathlib import Path

from bitwright.errors import UsageError
from bitwright.explorer.app import as_text
from bitwright.explorer.bundle import STATIC
from bitwright.explorer.exhibits import Documents
from bitwright.io import atomic
from bitwright.progress import Progress

CHAT = ("chat.html", "chat.js")  # pages of `serve`
MARK = "sources.txt"  # what an earlier export left, so that a folder of other things is not written into


def check(folder: Path) -> None:
    """Raises UsageError unless `folder` is new, empty, or an earlier export."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"cannot export to {folder}: it is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise UsageError(f"cannot export to {folder}: it holds other files; name a new folder")


def export(documents: Documents, folder: Path, progress: Progress | None = None) -> int:
    """Write the site into `folder`; how many bytes it has. Raises UsageError if the folder holds other things."""
    check(folder)
    names = list(documents.names())
    total = 0
    pages = [path for path in STATIC.iterdir() if path.name not in (MARK, *CHAT)]
    for path in [STATIC / MARK, *pages]:  # the mark first: what is interrupted can be exported again
        total += _write(folder / path.name, path.read_bytes())
    for done, name in enumerate(names):
        if progress:
            progress(done, len(names), name)
        total += _write(folder / "data" / f"{name}.json", as_text(documents[name]).encode())
    return total


def _write(path: Path, content: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(path, durable=False) as file:
        file.write(content)
    return len(content)
