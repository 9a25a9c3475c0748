"""Metadata of a quantized file: how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitwright.calibration import ActivationStatistics
from bitwright.io import gguf
from bitwright.io.gguf_write import QUANTIZATION_VERSION
from bitwright.recipes import FILE_TYPES, Recipe

FILE_TYPE = "general.file_type"


def metadata_of(recipe: Recipe, source: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a file made by the recipe, from its source's metadata."""
    metadata = dict(source)
    if recipe.file_type is None:  # llama.cpp then infers it from the tensors
        metadata.pop(FILE_TYPE, None)
    else:
        metadata[FILE_TYPE] = gguf.Typed(FILE_TYPES[recipe.file_type].number, "uint32")
    metadata["general.quantization_version"] = gguf.Typed(QUANTIZATION_VERSION, "uint32")
    return metadata


def provenance(stats: object, statistics: ActivationStatistics | None) -> dict[str, gguf.Typed]:
    """Where the importance came from, under llama.cpp's keys. stats: the file's path, or the statistics themselves."""
    if statistics is None:
        return {}
    return {
        "quantize.imatrix.file": gguf.Typed(Path(stats).name if isinstance(stats, str | Path) else "", "string"),
        "quantize.imatrix.dataset": gguf.Typed(", ".join(statistics.texts), "string"),
        "quantize.imatrix.entries_count": gguf.Typed(len(statistics.squares), "uint32"),
        "quantize.imatrix.chunks_count": gguf.Typed(statistics.chunks, "uint32"),
    }
