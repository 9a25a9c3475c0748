"""What is cached on this machine: bitwright's own folder, and the models of the Hugging Face hub's.

An entry is one model file (all parts of a split set), or one kind of working data. The hub keeps contents as blobs, to
which the files of all revisions link; a blob that several files share is counted, and removed, once
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bitwright.errors import BitwrightError, UnknownNameError, UsageError
from bitwright.io import hub_choice
from bitwright.io.aliases import ALIASES, cache_folder
from bitwright.io.gguf import PART
from bitwright.io.hub_choice import is_gguf, label

DATA = {  # what bitwright keeps besides models
    "references": "predictions of originals, for eval and compare",
    "horizon": "texts of originals, for eval --suite horizon",
    "headers": "headers of files on the hub, for plan",
    "history": "lines typed in chats, for run",
    "statistics": "activation statistics, for fit",
    "palette": "tensors in the formats that were tried, for fit",
    "searches": "unfinished searches and what they weighed, for fit",
    "packed": "weights as the kernels read them, for run --cache-packed",
    "prefixes": "prompts that were read, for serve",
    "machine.json": "speeds of this machine, for plan and bench",
}


@dataclass(frozen=True)
class Entry:
    """name: what `rm` takes, and for a model every other verb. what: "model", or what the data is for. paths: the
    files and folders that removing it removes; blobs that other files share stay."""

    name: str
    what: str
    paths: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Bytes on disk, shared blobs once."""
        return size(self.paths)


def entries() -> list[Entry]:
    """Everything cached: bitwright's models, the hub's, then working data."""
    own, aliases = cache_folder(), {alias.file: name for name, alias in ALIASES.items()}
    models = sorted(path for path in (own / "models").glob("*") if is_gguf(path.name))
    data = [Entry(name, what, (own / name,)) for name, what in DATA.items() if (own / name).exists()]
    return [Entry(aliases.get(path.name, path.name), "model", (path,)) for path in models] + [*_hub()] + data


def find(name: str) -> list[Entry]:
    """The entries of that name: one file, by its name or as org/name:QUANT, or all files of org/name.

    UnknownNameError if nothing is cached under it, UsageError if nothing is cached at all.
    """
    known = entries()
    if not known:
        raise UsageError("nothing is cached")
    repo, _, quant = name.partition(":")
    inside = [e for e in known if repo.count("/") == 1 and (e.name == repo or e.name.startswith(f"{repo}/"))]
    if inside and not quant:
        return inside
    alias = ALIASES.get(name)
    names = {name, f"{alias.repo}/{alias.file}"} if alias else {name}
    found = [entry for entry in known if entry.name in names]
    if not found and quant:
        found = [entry for entry in inside if (label(entry.name) or "").lower() == quant.lower()]
    if found:
        return found
    raise UnknownNameError("cached model", name, [entry.name for entry in known])


def total() -> int:
    """Bytes of everything cached, shared contents once."""
    return size(path for entry in entries() for path in entry.paths)


def size(paths: Iterable[Path]) -> int:
    """Bytes on disk of files and folders: links count as what they lead to, and every content counts once."""
    found = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile, or a link to nothing
                status = file.stat()
                held = getattr(status, "st_blocks", status.st_size) * 512  # headers are files with holes
                if file.is_file():
                    found[status.st_dev, status.st_ino] = min(status.st_size, held)
    return sum(found.values())


def remove(chosen: Iterable[Entry]) -> None:
    """Remove entries, with the blobs that nothing else links to. BitwrightError if the system refuses."""
    try:
        for entry in chosen:
            repo = _repository(entry.paths[0])
            blobs = {path.resolve() for path in entry.paths if path.is_symlink()}
            for path in entry.paths:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            if repo is not None:
                _tidy(repo, blobs)
    except OSError as error:
        raise BitwrightError(f"cannot remove {error.filename}: {error.strerror or error}") from error


def hub_folder() -> Path:
    """Where huggingface_hub keeps its cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _hub() -> Iterator[Entry]:
    """The checkpoint and the GGUF files of every repository in the hub's cache, each with its links in all
    revisions."""
    for repo in sorted(hub_folder().glob("models--*")):
        files: dict[str, list[Path]] = {}
        names = {path: "/".join(path.relative_to(repo).parts[2:]) for path in sorted(_files(repo))}
        together = hub_choice.checkpoint(names.values()) if hub_choice.is_checkpoint(names.values()) else ()
        for path, name in names.items():
            whole = PART.sub(lambda part: f"-00001-of-{part[2]}{part[3]}", name)
            if is_gguf(name) or name in together:
                files.setdefault("" if name in together else whole, []).append(path)
        owner = "/".join(repo.name.split("--")[1:])
        yield from (Entry(f"{owner}/{name}".rstrip("/"), "model", tuple(paths)) for name, paths in files.items())


def _files(repo: Path) -> list[Path]:
    """The files of all revisions of a repository in the hub's cache."""
    return [path for path in (repo / "snapshots").rglob("*") if path.is_symlink() or path.is_file()]


def _repository(path: Path) -> Path | None:
    """The folder of the hub's repository that a file belongs to; None for one of bitwright's own."""
    parents = path.parents
    return next((parent for parent in parents if parent.parent == hub_folder()), None)


def _tidy(repo: Path, blobs: set[Path]) -> None:
    """Remove those of its `blobs` that no file links to any more; the whole repository if it holds no file any more."""
    left = _files(repo)
    if not left:
        shutil.rmtree(repo)
        return
    for blob in blobs - {path.resolve() for path in left}:
        if blob.parent == (repo / "blobs").resolve():  # a link that leads out of the cache is only a link
            blob.unlink(missing_ok=True)
    for folder in sorted((repo / "snapshots").rglob("*"), reverse=True):
        if folder.is_dir() and not os.listdir(folder):
            folder.rmdir()
