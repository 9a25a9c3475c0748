"""What is in a GGUF file: what `inspect --json` prints."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain, printable

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

LONG_ARRAY, FIRST = 16, 3  # elements; of a longer array only the first are shown


def inspect(file: GGUF) -> dict[str, Any]:
    """path, version, architecture, parameters, file_bytes, bits_per_weight, tensors[{name, shape, format, bytes}],
    formats[{format, tensors, parameters, bytes, bits_per_weight}] (most bytes first), tokenizer{model, pre, vocabulary,
    bos, eos, ...}, chat_template, metadata{key: value, or {length, first} of an array of more than 16 elements}.

    Shapes are (rows, columns); what the file does not say is None."""
    tensors = file.tensors.values()
    parameters, stored = sum(math.prod(t.shape) for t in tensors), sum(t.nbytes for t in tensors)
    return plain(
        {
            "path": file.path,
            "version": file.version,
            "architecture": file.metadata.get("general.architecture"),
            "parameters": parameters,
            "file_bytes": file.file_bytes,
            "bits_per_weight": 8 * stored / parameters if parameters else None,
            "tensors": [
                {"name": t.name, "shape": t.shape, "format": t.format.name, "bytes": t.nbytes} for t in tensors
            ],
            "formats": _formats(file),
            "tokenizer": _tokenizer(file),
            "chat_template": file.metadata.get("tokenizer.chat_template"),
            "metadata": {key: _shortened(file.metadata[key]) for key in file.metadata},
        }
    )


def _formats(file: GGUF) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for t in file.tensors.values():
        row = sums.setdefault(t.format.name, {"format": t.format.name, "tensors": 0, "parameters": 0, "bytes": 0})
        row["tensors"] += 1
        row["parameters"] += math.prod(t.shape)
        row["bytes"] += t.nbytes
    for row in sums.values():
        row["bits_per_weight"] = 8 * row["bytes"] / row["parameters"] if row["parameters"] else 0.0
    return sorted(sums.values(), key=lambda row: -row["bytes"])


def _tokenizer(file: GGUF) -> dict[str, Any]:
    """Kind, size and special tokens of the vocabulary, as far as they are of the right types; empty without one."""
    metadata = file.metadata
    if not isinstance(tokens := metadata.get("tokenizer.ggml.tokens"), list):
        return {}
    kinds = {key: metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre")}
    found: dict[str, Any] = {key: kind for key, kind in kinds.items() if kind is not None}
    found["vocabulary"] = len(tokens)
    for key, value in metadata.items():
        if match := re.fullmatch(r"tokenizer\.ggml\.(\w+)_token_id", key):
            if isinstance(value, int) and 0 <= value < len(tokens):
                found[match[1]] = f"{value} {tokens[value]!r}"
        elif match := re.fullmatch(r"tokenizer\.ggml\.(add_\w+)", key):
            found[match[1]] = value
    return found


def _shortened(value: Any) -> object:
    if not hasattr(value, "__len__") or isinstance(value, (str, bytes)):
        return metadata_value(value)
    if len(value) > LONG_ARRAY:
        return {"length": len(value), "first": [metadata_value(v) for v in value[:FIRST]]}
    return [metadata_value(v) for v in value]


def metadata_value(value: Any) -> Any:
    """One value of the metadata. GGUF's floats are single precision: seven digits are enough."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return printable(value)
    return float(f"{value:.7g}") if isinstance(value, float) else value
