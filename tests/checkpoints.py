"""safetensors files and folders of them, as tests need them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "uint8": "F8_E4M3",  # floats that NumPy lacks: bits
          "int8": "I8", "void8": "U8", "int32": "I32", "int64": "I64"}  # fmt: skip


def header_bytes(header: str | Mapping[str, Any]) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text


def safetensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    """The file of arrays of the types of DTYPES."""
    entries, at = {}, 0
    for name, values in tensors.items():
        entries[name] = {"dtype": DTYPES[values.dtype.name], "shape": list(values.shape),
                         "data_offsets": [at, at + values.nbytes]}  # fmt: skip
        at += values.nbytes
    return header_bytes({"__metadata__": {"format": "pt"}, **entries}) + b"".join(v.tobytes() for v in tensors.values())


def write_set(folder: Path, tensors: Mapping[str, np.ndarray], parts: int = 1) -> Path:
    """Writes a folder of weights in one file, or in several with their index."""
    folder.mkdir(exist_ok=True)
    if parts == 1:
        (folder / "model.safetensors").write_bytes(safetensors(tensors))
        return folder
    places: dict[str, str] = {}
    for part in range(parts):
        file = f"model-{part + 1:05}-of-{parts:05}.safetensors"
        names = list(tensors)[part::parts]
        (folder / file).write_bytes(safetensors({name: tensors[name] for name in names}))
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
