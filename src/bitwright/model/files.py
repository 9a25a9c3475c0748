"""The open file of a model: a GGUF file, or a checkpoint seen as one."""

from __future__ import annotations

from pathlib import Path

from bitwright.io import gguf, hub
from bitwright.io.gguf import GGUF


def open(ref: str | Path) -> GGUF:
    """Open the model that `ref` names (`hub.resolve`), downloaded if needed. A folder is a checkpoint.

    Raises FileFormatError if a file breaks its format, UnsupportedError for what bitwright cannot read or convert,
    UsageError if `ref` names nothing, BitwrightError if a file cannot be obtained.
    """
    path = hub.resolve(ref)
    if path.is_dir():
        from bitwright.model.conversion.checkpoint import Checkpoint

        return Checkpoint(path)
    return gguf.open(path)
