"""Find the local file for what a user typed as a model.

A reference is a path, a built-in alias, `org/name[:QUANT][@revision]` or `org/name/file.gguf`; the last two may start
with `hf.co/` or `huggingface.co/`. The address of a page on the hub, or of a download, names what it shows.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from bitwright.errors import BitwrightError, UsageError
from bitwright.io import aliases, gguf, hub_choice, hub_files, hub_headers, inputs, kinds
from bitwright.io.gguf import PART
from bitwright.progress import Progress

ACCEPTED = "a path, org/name[:QUANT][@revision] on the Hugging Face hub, or " + ", ".join(aliases.ALIASES)

_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_REFERENCE = re.compile(
    r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*?)"
    r"(?:/(?P<file>[^:@]+\.gguf))?"
    r"(?::(?P<quant>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?",
    re.IGNORECASE,
)
_PAGE = re.compile(
    r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)/(?:blob|resolve|raw|tree)/(?P<revision>[^/]+)(?:/(?P<rest>.+))?"
)


class Reference(NamedTuple):
    """A model on the hub; folder: where in the repository it lies, "" for anywhere."""

    repo: str
    file: str | None
    quant: str | None
    revision: str
    folder: str = ""


def resolve(
    ref: str | Path, offline: bool | None = None, progress: Progress | None = None, headers_only: bool = False
) -> Path:
    """The local file that `ref` names (of a split set, the first part; of a checkpoint, the folder), downloaded if
    needed and allowed. A folder that holds a checkpoint stands for that, a repository for its GGUF files if it has any.

    `offline` defaults to HF_HUB_OFFLINE; if true, only cached files are found and nothing touches the network.
    `progress(done, total, "")` counts downloaded bytes. headers_only: of files on the hub that are not here,
    download only the part before the tensors (`hub_headers.gguf`).
    Raises UsageError if `ref` names nothing, BitwrightError if the file cannot be obtained.
    """
    path = os.path.expanduser(ref)  # os.path never raises, whatever the user types
    if ref and os.path.isdir(path):
        there = hub_choice.is_checkpoint(os.listdir(path))
        return Path(path) if there else Path(path, in_folder(Path(path), str(ref)))
    if ref and os.path.exists(path):
        return Path(path).parent if hub_choice.in_checkpoint(os.path.basename(path)) else Path(path)
    offline = hub_files.offline_by_default() if offline is None else offline
    if str(ref) in aliases.ALIASES:
        return aliases.resolve(str(ref), offline, progress)
    reference = parse(str(ref))
    files, offline = hub_files.list_files(reference.repo, reference.revision, offline)
    named = reference.file or reference.quant or any(map(hub_choice.is_gguf, files))
    if not named and hub_choice.is_checkpoint(files):
        return _checkpoint(reference, files, offline, progress)
    place = f"{reference.repo} in the cache" if offline else reference.repo
    chosen = reference.file or _chosen(files, reference, place)
    if chosen not in files:
        raise UsageError(f"{place} has no file {chosen}; it has {hub_choice.labels(files)}")
    parts = [chosen]
    if match := PART.search(chosen):
        parts = [f"{chosen[: match.start()]}-{n:05}-of-{match[2]}{match[3]}" for n in range(1, int(match[2]) + 1)]
    if missing := [part for part in parts if part not in files]:
        raise BitwrightError(f"{place} lacks {missing[0]} of its split files")
    if headers_only:
        found = [hub_headers.gguf(reference.repo, part, reference.revision, offline) for part in parts]
    else:
        found = [hub_files.fetch(reference.repo, part, reference.revision, offline, progress) for part in parts]
    return found[0]


def is_path(ref: str | Path) -> bool:
    """Whether `ref` names a file or a folder of this machine, and not a model in a cache or on the hub."""
    return bool(ref) and os.path.exists(os.path.expanduser(ref))


def parse(ref: str) -> Reference:
    """Take a hub reference, or an address on the hub, apart; raises UsageError if it is neither."""
    text = ref
    if (address := _ADDRESS.fullmatch(ref)) is not None:
        text = unquote(address["path"]).strip("/")
        if ".." not in text and (page := _PAGE.fullmatch(address["path"].strip("/"))) is not None:
            shown = parse_qs(address["query"] or "").get("show_file_info", [""])[0]  # a file beside the list of files
            rest = shown or unquote(page["rest"] or "")
            file, folder = (rest, "") if hub_choice.is_gguf(rest) else (None, rest)
            return Reference(page["repo"], file, None, unquote(page["revision"]), folder)
    elif "://" in ref:
        raise UsageError(f"{ref}: only addresses on huggingface.co are read; download the file and give its path")
    match = _REFERENCE.fullmatch(text)
    looks_local = text.startswith((".", "/", "~")) or (match and hub_choice.is_gguf(match["repo"]))
    if match is None or looks_local or ".." in ref:
        raise UsageError(f"no file or model is named {ref}; accepted: {ACCEPTED}")
    return Reference(match["repo"], match["file"], match["quant"], match["revision"] or "main")


def in_folder(folder: Path, place: str) -> str:
    """The one model in a folder, or if it lies in a folder of this one, its path from here; else what the user
    answers. A file that is not named like a companion of models can still say that it is one."""
    here = list(folder.iterdir())
    files = [path for path in here if hub_choice.is_gguf(path.name)] or [*here, *folder.glob("*/*.*")]
    found = hub_choice.models((path.relative_to(folder).as_posix() for path in files), place)
    if len(found) > 1:
        found = [file for file in found if not _is_other(folder / file)] or found
    return hub_choice.among(found, place)


def _is_other(path: Path) -> bool:
    """Whether a file's metadata says that it is no language model; what cannot be read counts as one."""
    try:
        with inputs.protected():  # a look, after which it may still be written
            return kinds.other_kind(gguf.open(path).metadata) is not None
    except BitwrightError:
        return False


def _checkpoint(reference: Reference, files: list[str], offline: bool, progress: Progress | None) -> Path:
    """The folder of a checkpoint's files, all of the same commit."""
    revision, found = reference.revision, Path()
    for file in hub_choice.checkpoint(files):
        found = hub_files.fetch(reference.repo, file, revision, offline, progress)
        if "/" not in file:
            revision = found.parent.name  # the commit, should the branch move on meanwhile
    return found.parent


def _chosen(files: list[str], reference: Reference, place: str) -> str:
    folder = reference.folder and f"{reference.folder.strip('/')}/"
    inside = [file for file in files if file.startswith(folder)]
    return hub_choice.choose(inside, reference.quant, f"{place}/{reference.folder}".rstrip("/"))
