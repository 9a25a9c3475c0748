"""The open file of a model: a GGUF file, or a checkpoint seen as one."""

from __future__ import annotations

from pathlib import Path

from bitwright.errors import UsageError
from bitwright.io import gguf, hub, json_text
from bitwright.io.gguf import GGUF
from bitwright.io.hub_choice import ADAPTER, CONFIG
from bitwright.io.values import Values
from bitwright.progress import Progress


def open(ref: str | Path, lora: str | Path | None = None) -> GGUF:
    """Open the model that `ref` names (`hub.resolve`), downloaded if needed. A folder is a checkpoint, or an adapter,
    which is merged into the checkpoint that it says it is for. lora: names an adapter for the checkpoint `ref`.

    Raises FileFormatError if a file breaks its format, UnsupportedError for what bitwright cannot read or convert,
    UsageError if `ref` names nothing, BitwrightError if a file cannot be obtained.
    """
    path = hub.resolve(ref)
    adapter = None if lora is None else hub.resolve(lora)
    if adapter is not None and not (adapter / ADAPTER).is_file():
        raise UsageError(f"{adapter}: expected a LoRA adapter, a folder with {ADAPTER}")
    if adapter is not None and not (path / CONFIG).is_file():
        raise UsageError(f"{path}: an adapter can be merged into a checkpoint, a folder with {CONFIG}")
    if not path.is_dir():
        return gguf.open(path)
    from bitwright.model.conversion.checkpoint import Checkpoint

    if adapter is None and (base := base_of(path)) is not None:
        return Checkpoint(base, path)
    return Checkpoint(path, adapter)


def base_of(path: Path, progress: Progress | None = None) -> Path | None:
    """The checkpoint that the adapter in a folder is for, downloaded if needed; None if `path` is no such folder."""
    if (base := base_named(path)) is None:
        return None
    try:
        return hub.resolve(base, progress=progress)
    except UsageError as error:
        told = f"{path / ADAPTER} is for {base}; if that is elsewhere, name it and --lora {path} ({error})"
        raise UsageError(told) from error


def base_named(path: Path) -> str | None:
    """What the adapter in a folder says that it is for, a path or a name on the hub; None if `path` is no such
    folder. FileFormatError if it does not say."""
    if not (path / ADAPTER).is_file() or (path / CONFIG).is_file():
        return None
    return base_in(path / ADAPTER)


def base_in(adapter: Path) -> str:
    """What an adapter_config.json says that it is for. FileFormatError if it does not say."""
    return Values(json_text.read(adapter), adapter).text("base_model_name_or_path")
