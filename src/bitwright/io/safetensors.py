"""The headers of safetensors files: what tensors they hold, on this machine or on the Hugging Face hub.

Format: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import hub_files, inputs, json_text
from bitwright.io.values import Values, described

MOST_HEADER = 100 << 20  # bytes, the limit of the safetensors format
MOST_SIZE = 1 << 48  # of a dimension
TOGETHER = 8  # files whose headers are read at once


class HeaderEntry(NamedTuple):
    """A tensor in a safetensors file. dtype: by that format's names, BF16 or F8_E4M3."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> list[HeaderEntry]:
    """The tensors in the header of a safetensors file. FileFormatError if its header is malformed."""
    with inputs.opened(path) as file:
        size = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        room = path.stat().st_size - 8
        if not 2 <= size <= min(room, MOST_HEADER):
            raise FileFormatError(path, 0, f"a header of 2 to {min(room, MOST_HEADER)} bytes", f"{size}")
        text = file.read(size)
    entries = json_text.parse(text, path, 8)
    if not isinstance(entries, dict):
        raise FileFormatError(path, 8, "a header that is a JSON object", described(entries))
    return [_entry(path, name, entry) for name, entry in entries.items() if name != "__metadata__"]


def _entry(path: Path, name: str, entry: Any) -> HeaderEntry:
    values = Values(entry if isinstance(entry, dict) else {}, path)
    shape = values.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size <= MOST_SIZE for size in shape):
        raise FileFormatError(path, 8, f"a header with the shape of {name!r}, a list of sizes", values.found("shape"))
    return HeaderEntry(name, values.text("dtype"), tuple(shape))


def read_hub_headers(repo: str, files: Sequence[str], revision: str) -> list[HeaderEntry]:
    """The tensors of safetensors files in a hub repository. BitwrightError if their headers cannot be downloaded."""
    from huggingface_hub import HfApi, errors

    def read(file: str) -> list[HeaderEntry]:
        found = HfApi().parse_safetensors_file_metadata(repo, file, revision=revision, timeout=hub_files.TIMEOUT)
        return [HeaderEntry(name, info.dtype, tuple(info.shape)) for name, info in found.tensors.items()]

    try:
        with hub_files.hub_errors(repo, revision), ThreadPoolExecutor(TOGETHER) as pool:
            return [tensor for part in pool.map(read, files) for tensor in part]
    except errors.SafetensorsParsingError as error:
        raise BitwrightError(f"{repo}: {str(error).splitlines()[0]}") from error
