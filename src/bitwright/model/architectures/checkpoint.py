"""Published checkpoints: config.json and safetensors files, of which only the headers are read."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.io import hub, hub_choice, hub_files, json_text, safetensors
from bitwright.io.aliases import ALIASES
from bitwright.io.hub_choice import ADAPTER, CONFIG, in_checkpoint
from bitwright.io.safetensors import HeaderEntry
from bitwright.model import files
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.architectures.families import blueprint

FLOATS = {"F32": "f32", "F16": "f16", "BF16": "bf16"}  # other types become BF16 in a GGUF file
MANY = 0.01  # share of the parameters; if more are missing from the outline, the standing says so


def local(path: Path, adapters: bool = True) -> tuple[Blueprint, str] | None:
    """The blueprint of a folder with a config.json, or of such a file, and its standing; of a LoRA adapter's folder,
    the blueprint of the checkpoint that it is for. None if `path` is none of these.

    adapters: whether the folder may be an adapter's. Raises UsageError if that checkpoint cannot be found.
    """
    if adapters and (base := files.base_named(path)) is not None:
        return _adapted(base, path / ADAPTER)
    config = path / CONFIG if path.is_dir() else path.with_name(CONFIG) if in_checkpoint(path.name) else path
    if config.name != CONFIG or not config.is_file():
        return None
    weights = safetensors.weight_files(path.name for path in config.parent.iterdir())
    headers = [tensor for file in weights for tensor in safetensors.read_header(config.parent / file)]
    return _read(json_text.read(config), config, headers)


def remote(ref: str, adapters: bool = True) -> tuple[Blueprint, str] | None:
    """The same for a hub repository without GGUF files; None if it has some, or if `ref` is a path or an alias.

    Raises UsageError or BitwrightError if the repository cannot be read.
    """
    if os.path.exists(os.path.expanduser(ref)) or ref in ALIASES:
        return None
    reference = hub.parse(ref)
    offline = hub_files.offline_by_default()
    there, offline = hub_files.list_files(reference.repo, reference.revision, offline)
    if any(map(hub_choice.is_gguf, there)) or reference.quant or reference.file:
        return None
    if CONFIG not in there and ADAPTER in there and adapters:
        adapter = hub_files.fetch(reference.repo, ADAPTER, reference.revision, offline)
        return _adapted(files.base_in(adapter), f"{reference.repo}/{ADAPTER}")
    if CONFIG not in there:
        raise UsageError(f"{reference.repo} holds neither a .gguf file nor a {CONFIG}")
    config = hub_files.fetch(reference.repo, CONFIG, reference.revision, offline)
    weights = safetensors.weight_files(there)
    headers = [] if offline else safetensors.read_hub_headers(reference.repo, weights, reference.revision)
    return _read(json_text.read(config), f"{reference.repo}/{CONFIG}", headers)


def _adapted(base: str, adapter: object) -> tuple[Blueprint, str]:
    """The blueprint of the checkpoint that an adapter is for: merging changes no shape. UsageError if there is none."""
    try:
        found = local(Path(os.path.expanduser(base)), adapters=False) or remote(base, adapters=False)
    except UsageError as error:
        raise UsageError(
            f"{adapter} is for {base}; if that is elsewhere, plan for it by its name there ({error})"
        ) from error
    if found is None:
        raise UsageError(f"{adapter} is for {base}, which is no checkpoint that an adapter can be merged into")
    made, standing = found
    return made, f"of {base}, into which the adapter is merged: {standing}"


def _read(config: dict[str, Any], place: object, headers: list[HeaderEntry]) -> tuple[Blueprint, str]:
    """The blueprint in the precision of most weights, and how its parameters compare with those of the headers."""
    counts = Counter[str]()
    for tensor in headers:
        counts[tensor.dtype] += math.prod(tensor.shape)
    most = counts.most_common(1)[0][0] if counts else "BF16"
    made = blueprint(config, place, formats.get(FLOATS.get(most, "bf16")))
    ours, theirs = sum(math.prod(tensor.shape) for tensor in made.tensors), sum(counts.values())
    if not headers:
        return made, "from config.json alone"
    if most not in FLOATS:
        return made, f"from config.json; its weights are stored as {most}"
    if abs(ours - theirs) <= MANY * theirs:
        return made, f"from config.json; the headers of its weights hold {theirs:,} parameters, these are {ours:,}"
    if theirs < ours:
        return made, f"from config.json; the headers hold {theirs:,} of these {ours:,} parameters: is a file missing?"
    what = "outside of the language model (another tower, or layers that predict further tokens)"
    return made, f"from config.json; the headers hold {theirs:,} parameters, {theirs - ours:,} of them {what}"
