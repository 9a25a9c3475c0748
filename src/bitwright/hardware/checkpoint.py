"""Models as their makers publish them: config.json beside safetensors, of which only the headers are read."""

from __future__ import annotations

import json
import math
import os
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.hardware.draft import Draft
from bitwright.hardware.families import draft
from bitwright.io import hub, hub_files, hub_headers
from bitwright.io.hub_headers import Stored

CONFIG = "config.json"
MOST_HEADER = 100 << 20  # bytes, the limit of the safetensors format
FLOATS = {"BF16": "bf16", "F16": "f16", "F32": "f32"}  # what else there is becomes BF16 in a GGUF file
MANY = 0.01  # of the parameters: if more of them are outside the outline, that is said


def local(path: Path) -> tuple[Draft, str] | None:
    """The draft and its standing of a folder with a config.json, or of such a file; None where it is neither."""
    config = path / CONFIG if path.is_dir() else path
    if config.name != CONFIG or not config.is_file():
        return None
    files = sorted(config.parent.glob("*.safetensors"))
    return _read(_json(config), config, [tensor for file in files for tensor in stored(file)])


def remote(ref: str) -> tuple[Draft, str] | None:
    """The same of a hub repository that holds no GGUF file; None where `ref` is a path or an alias, or it holds one.

    Raises UsageError or BitwrightError where the repository cannot be had.
    """
    if os.path.exists(os.path.expanduser(ref)) or ref in hub.aliases.ALIASES:
        return None
    reference = hub.parse(ref)
    offline = hub_files.offline_by_default()
    files, offline = hub_files.list_files(reference.repo, reference.revision, offline)
    if any(file.endswith(".gguf") for file in files) or reference.quant or reference.file:
        return None
    if CONFIG not in files:
        raise UsageError(f"{reference.repo} holds neither a .gguf file nor a {CONFIG}")
    config = hub_files.fetch(reference.repo, CONFIG, reference.revision, offline)
    weights = [file for file in files if file.endswith(".safetensors") and "/" not in file]
    headers = [] if offline else hub_headers.safetensors(reference.repo, _one_set(weights), reference.revision)
    return _read(_json(config), f"{reference.repo}/{CONFIG}", headers)


def stored(path: Path) -> list[Stored]:
    """The tensors that a safetensors file says it holds; FileFormatError where its header is not one.

    https://huggingface.co/docs/safetensors/index#format
    """
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        room = path.stat().st_size - 8
        if not 2 <= size <= min(room, MOST_HEADER):
            raise FileFormatError(path, 0, f"a header of 2 to {min(room, MOST_HEADER)} bytes", f"{size}")
        text = file.read(size)
    try:
        entries = json.loads(text)
        entries.pop("__metadata__", None)
        return [Stored(name, str(entry["dtype"]), tuple(map(int, entry["shape"]))) for name, entry in entries.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            path, 8, "a JSON header of dtypes and shapes", f"{type(error).__name__}: {error}"
        ) from error


def _one_set(files: Iterable[str]) -> list[str]:
    """Of files that hold the same weights in other cuts, such as consolidated.safetensors, those named model."""
    files = sorted(files)
    return [file for file in files if file.startswith("model")] or files


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FileFormatError(path, None, "JSON", str(error)) from error
    if not isinstance(value, dict):
        raise FileFormatError(path, None, "a JSON object", type(value).__name__)
    return value


def _read(config: dict[str, Any], place: object, headers: list[Stored]) -> tuple[Draft, str]:
    """The draft in the precision that most weights have, and how its parameters compare to those of the headers."""
    counts = Counter[str]()
    for tensor in headers:
        counts[tensor.dtype] += math.prod(tensor.shape)
    most = counts.most_common(1)[0][0] if counts else "BF16"
    made = draft(config, place, formats.get(FLOATS.get(most, "bf16")))
    ours, theirs = sum(math.prod(tensor.shape) for tensor in made.tensors), sum(counts.values())
    if not headers:
        return made, "from config.json alone"
    if most not in FLOATS:
        return made, f"from config.json; its weights are stored as {most}"
    if abs(ours - theirs) <= MANY * theirs:
        return made, f"from config.json; the headers of its weights hold {theirs:,} parameters, these are {ours:,}"
    what = "beside the language model (another tower, or layers that predict further tokens)"
    return made, f"from config.json; the headers hold {theirs:,} parameters, {theirs - ours:,} of them {what}"
