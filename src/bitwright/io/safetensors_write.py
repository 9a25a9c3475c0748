"""Write a safetensors file, one tensor at a time.

Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.io import atomic
from bitwright.io.safetensors import BITS, HeaderEntry

ALIGNMENT = 8  # bytes to which the header is filled up with spaces


def write(path: Path, entries: Sequence[HeaderEntry], arrays: Iterable[NDArray[Any]]) -> int:
    """Write tensors and return the bytes of the file, which appears in full or not at all. arrays: one for each entry,
    in its order, with the bytes of its shape and type; each is asked for when the one before is written."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, dtype, shape in entries:
        size = BITS[dtype] * math.prod(shape) // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with atomic.replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for entry, array in zip(entries, arrays, strict=True):
            begin, end = header[entry.name]["data_offsets"]
            assert array.nbytes == end - begin, entry.name
            file.write(np.ascontiguousarray(array).view(np.uint8).data)
    return 8 + len(text) + at
