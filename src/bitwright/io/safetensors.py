"""safetensors files: their headers, and sets of them that are mapped and read tensor by tensor.

Format: https://huggingface.co/docs/safetensors/index#format. As its own library does, this reader refuses tensors that
overlap or leave gaps, so that every byte of a file belongs to one tensor.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import hub_files, inputs, json_text
from bitwright.io.values import Values, described

SUFFIX = ".safetensors"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"  # one file, or the index of a set of several
POINTER = b"version "  # how a file begins that Git LFS has not fetched
MOST_HEADER = 100 << 20  # bytes, the limit of the safetensors format
MOST_SIZE = 1 << 48  # of a dimension
MOST_DIMENSIONS = 32  # NumPy holds 64
TOGETHER = 8  # files whose headers are read at once
BITS = {  # of one element
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


class HeaderEntry(NamedTuple):
    """A tensor in a safetensors file. dtype: by that format's names, BF16 or F8_E4M3."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Stored(NamedTuple):
    """Where a tensor lies: `nbytes` from byte `offset` of the file `part` of a set, row after row, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    part: int


class TensorSet(NamedTuple):
    """The files of one set of weights, mapped, and where each tensor lies."""

    paths: list[Path]
    buffers: list[mmap.mmap]
    tensors: dict[str, Stored]


def read_header(path: Path) -> list[HeaderEntry]:
    """The tensors in the header of a safetensors file. FileFormatError if its header is malformed."""
    return [entry for entry, _ in _entries(path)[1]]


def open_set(folder: Path) -> TensorSet:
    """The weights in a folder, as its index or else their names tell.

    Raises FileFormatError if a file breaks the format, one is missing, or a tensor occurs twice or not where the index
    says; BitwrightError if a file cannot be read.
    """
    index = folder / INDEX
    listed = _weight_map(index) if index.is_file() else {}
    names = sorted(set(listed.values())) or weight_files(path.name for path in folder.iterdir())
    if not names:
        raise FileFormatError(folder, None, f"a file of weights (*{SUFFIX})", "none")
    found = TensorSet([folder / name for name in names], [], {})
    for part, path in enumerate(found.paths):
        found.buffers.append(inputs.mapped(path, "a safetensors file"))
        for stored in _stored(path, part, len(found.buffers[part])):
            if stored.name in found.tensors:
                other = found.paths[found.tensors[stored.name].part].name
                raise FileFormatError(path, 8, "tensors that no other file of the set has", f"{stored.name!r}, which "
                                      f"{other} has too")  # fmt: skip
            found.tensors[stored.name] = stored
    for name, file in listed.items():
        if name not in found.tensors or names[found.tensors[name].part] != file:
            raise FileFormatError(folder / file, 8, f"the tensor {name!r}, as {INDEX} says", "no such tensor")
    return found


def weight_files(files: Iterable[str]) -> list[str]:
    """Of the names of files, those of one set of weights: if there are several with the same weights, those named
    model, rather than consolidated.safetensors; without an index, the one that holds all, rather than a copy in
    another precision."""
    files = list(files)
    found = sorted(file for file in files if file.endswith(SUFFIX) and "/" not in file)
    if WHOLE in found and INDEX not in files:
        return [WHOLE]
    return [file for file in found if file.startswith("model")] or found


def _weight_map(path: Path) -> dict[str, str]:
    """The file of each tensor, by an index."""
    with inputs.opened(path) as file:
        index = json_text.parse(file.read(MOST_HEADER), path)
    map = Values(index if isinstance(index, dict) else {}, path).get("weight_map")
    if not isinstance(map, dict) or not map:
        raise FileFormatError(path, None, "weight_map to be an object of names and files", described(map))
    for name, file in map.items():
        if not isinstance(file, str) or weight_files([file]) != [file] or "\\" in file or "\0" in file:
            raise FileFormatError(path, None, f"a {SUFFIX} file of this folder for {name!r}", described(file))
    return map


def _stored(path: Path, part: int, size: int) -> list[Stored]:
    """The tensors of one file of `size` bytes, by where they lie, with no byte left over."""
    start, entries = _entries(path)
    found, at = [], start
    for entry, (begin, end) in sorted(entries, key=lambda item: item[1]):
        if entry.dtype not in BITS:
            raise FileFormatError(path, 8, f"{entry.name!r} to be of a known dtype", repr(entry.dtype))
        bits = BITS[entry.dtype] * math.prod(entry.shape)
        if bits != 8 * (end - begin):
            expected = f"{entry.name!r}, {entry.dtype} of shape {entry.shape}, to have {bits} bits"
            raise FileFormatError(path, 8, expected, f"{8 * (end - begin)}")
        if begin != at - start or start + end > size:
            expected = f"{entry.name!r} from byte {at - start} of the data on, inside {size - start} bytes"
            raise FileFormatError(path, 8, expected, f"data_offsets {begin} to {end}")
        found.append(Stored(entry.name, entry.dtype, entry.shape, at, end - begin, part))
        at = start + end
    if at != size:
        raise FileFormatError(path, at, "the end of the file after the last tensor", f"{size - at} bytes more")
    return found


def _entries(path: Path) -> tuple[int, list[tuple[HeaderEntry, tuple[int, int]]]]:
    """Where a file's data begin, and its tensors with their data_offsets."""
    with inputs.opened(path) as file:
        if (first := file.read(8)) == POINTER:
            raise FileFormatError(path, 0, "weights", "a pointer of Git LFS: fetch the file with `git lfs pull`")
        size = struct.unpack("<Q", first.ljust(8, b"\0"))[0]
        room = path.stat().st_size - 8
        if not 2 <= size <= min(room, MOST_HEADER):
            raise FileFormatError(path, 0, f"a header of 2 to {min(room, MOST_HEADER)} bytes", f"{size}")
        text = file.read(size)
    entries = json_text.parse(text, path, 8, unique=True)
    if not isinstance(entries, dict):
        raise FileFormatError(path, 8, "a header that is a JSON object", described(entries))
    return 8 + size, [_entry(path, name, entry) for name, entry in entries.items() if name != "__metadata__"]


def _entry(path: Path, name: str, entry: Any) -> tuple[HeaderEntry, tuple[int, int]]:
    values = Values(entry if isinstance(entry, dict) else {}, path)
    shape, offsets = values.get("shape"), values.get("data_offsets")
    if not _sizes(shape) or len(shape) > MOST_DIMENSIONS:
        raise FileFormatError(path, 8, f"a header with the shape of {name!r}, a list of sizes", values.found("shape"))
    dtype = values.text("dtype")
    if not _sizes(offsets) or len(offsets) != 2:
        expected = f"a header with the data_offsets of {name!r}, where it begins and ends"
        raise FileFormatError(path, 8, expected, values.found("data_offsets"))
    return HeaderEntry(name, dtype, tuple(shape)), (offsets[0], offsets[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= MOST_SIZE for size in value)


def read_hub_headers(repo: str, files: Sequence[str], revision: str) -> list[HeaderEntry]:
    """The tensors of safetensors files in a hub repository. BitwrightError if their headers cannot be downloaded."""
    from concurrent.futures import ThreadPoolExecutor

    from huggingface_hub import HfApi, errors

    def read(file: str) -> list[HeaderEntry]:
        found = HfApi().parse_safetensors_file_metadata(repo, file, revision=revision, timeout=hub_files.TIMEOUT)
        return [HeaderEntry(name, info.dtype, tuple(info.shape)) for name, info in found.tensors.items()]

    try:
        with hub_files.hub_errors(repo, revision), ThreadPoolExecutor(TOGETHER) as pool:
            return [tensor for part in pool.map(read, files) for tensor in part]
    except errors.SafetensorsParsingError as error:
        raise BitwrightError(f"{repo}: {str(error).splitlines()[0]}") from error
