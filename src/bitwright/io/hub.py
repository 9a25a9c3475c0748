"""Find the local file for what a user typed as a model.

A reference is a path, a built-in alias, `org/name[:QUANT][@revision]` or `org/name/file.gguf`; the last two may start
with `hf.co/` or `huggingface.co/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bitwright.errors import BitwrightError, UsageError
from bitwright.io import aliases, hub_files, hub_headers
from bitwright.io.gguf import FIRST_PART, PART
from bitwright.progress import Progress

DEFAULT_QUANT = "Q4_K_M"
ACCEPTED = "a path, org/name[:QUANT][@revision] on the Hugging Face hub, or " + ", ".join(aliases.ALIASES)

_REFERENCE = re.compile(
    r"(?:(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/)?"
    r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*?)"
    r"(?:/(?:blob|resolve)/(?P<address_revision>[^/:@]+))?"
    r"(?:/(?P<file>[^:@]+\.gguf))?"
    r"(?::(?P<quant>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?"
)
# A quantization in a file's name: m-Q4_K_M.gguf, m.UD-Q4_K_XL-00001-of-00002.gguf.
_BEFORE, _AFTER = r"(?:^|[-._/])", r"(?:-\d{5}-of-\d{5})?\.gguf$"
_LABEL = re.compile(_BEFORE + r"((?:UD-)?(?:I?Q|TQ|BF|F|MXFP|NVFP)\d\w*)" + _AFTER, re.IGNORECASE)


class Reference(NamedTuple):
    """A model on the hub."""

    repo: str
    file: str | None
    quant: str | None
    revision: str


def resolve(
    ref: str | Path, offline: bool | None = None, progress: Progress | None = None, headers_only: bool = False
) -> Path:
    """The local file that `ref` names (of a split set, the first part), downloaded if needed and allowed.

    `offline` defaults to HF_HUB_OFFLINE; if true, only cached files are found and nothing touches the network.
    `progress(done, total, "")` counts downloaded bytes. headers_only: of files on the hub that are not here,
    download only the part before the tensors (`hub_headers.gguf`).
    Raises UsageError if `ref` names nothing, BitwrightError if the file cannot be obtained.
    """
    path = os.path.expanduser(ref)  # os.path never raises, whatever the user types
    if ref and os.path.isdir(path):
        return Path(path, choose((file.name for file in Path(path).glob("*.gguf")), None, str(ref), only=True))
    if ref and os.path.exists(path):
        return Path(path)
    offline = hub_files.offline_by_default() if offline is None else offline
    if str(ref) in aliases.ALIASES:
        return aliases.resolve(str(ref), offline, progress)
    reference = parse(str(ref))
    files, offline = hub_files.list_files(reference.repo, reference.revision, offline)
    place = f"{reference.repo} in the cache" if offline else reference.repo
    chosen = choose(files, reference.quant, place) if reference.file is None else reference.file
    if chosen not in files:
        raise UsageError(f"{place} has no file {chosen}; it has {_labels(files)}")
    parts = [chosen]
    if match := PART.search(chosen):
        parts = [f"{chosen[: match.start()]}-{n:05}-of-{match[2]}.gguf" for n in range(1, int(match[2]) + 1)]
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
    """Take a hub reference apart; raises UsageError if it is not one."""
    match = _REFERENCE.fullmatch(ref)
    looks_local = ref.startswith((".", "/", "~")) or (match and match["repo"].lower().endswith(".gguf"))
    if match is None or looks_local or ".." in ref:
        raise UsageError(f"no file or model is named {ref}; accepted: {ACCEPTED}")
    return Reference(
        match["repo"], match["file"], match["quant"], match["revision"] or match["address_revision"] or "main"
    )


def choose(files: Iterable[str], quant: str | None, place: str, only: bool = False) -> str:
    """The file of quantization `quant`, by default Q4_K_M, else the first (`only`: refuse if there are several)."""
    models = [file for file in sorted(files) if file.endswith(".gguf") and "mmproj" not in file.lower()]
    models = [file for file in models if not PART.search(file) or FIRST_PART.search(file)]
    if not models:
        raise UsageError(f"{place} holds no .gguf file")
    if only and len(models) > 1:
        raise UsageError(f"{place} holds {len(models)} models; name one: {', '.join(models)}")
    wanted = re.compile(_BEFORE + re.escape(quant or DEFAULT_QUANT) + _AFTER, re.IGNORECASE)
    matching = [file for file in models if wanted.search(file)]
    if quant and not matching:
        raise UsageError(f"{place} has no {quant}; it has {_labels(models)}")
    return (matching or models)[0]


def _labels(files: Iterable[str]) -> str:
    models = sorted(file for file in files if file.endswith(".gguf"))
    return ", ".join(dict.fromkeys(m[1] if (m := _LABEL.search(file)) else file for file in models)) or "no .gguf file"
