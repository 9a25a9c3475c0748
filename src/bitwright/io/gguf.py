"""GGUF files: `open` one, or the first of a split set, and see its metadata and tensors; `write` one.

Opening maps the file and decodes almost nothing: metadata is decoded when asked for, tensors are views of the mapping.
A file that another program shortens meanwhile is noticed (`kernels.mapping`) and refused; bitwright itself replaces
files by renaming, which is safe.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np

from bitwright import system
from bitwright.errors import FileFormatError, UnknownNameError
from bitwright.escapes import escaped
from bitwright.formats import QuantizedTensor
from bitwright.io import checksum, inputs
from bitwright.io.gguf_metadata import Metadata
from bitwright.io.gguf_parse import TensorInfo, parse
from bitwright.io.gguf_values import Typed
from bitwright.io.gguf_write import Layout, layout, part_name, write, write_parts
from bitwright.io.values import Values
from bitwright.kernels import mapping
from bitwright.progress import Progress

__all__ = ["GGUF", "Layout", "Metadata", "TensorInfo", "Typed", "layout", "open", "part_paths", "write", "write_parts"]

PART = re.compile(r"-(\d{5})-of-(\d{5})(\.gguf)$", re.IGNORECASE)
MOST_PARTS = 99999
FIRST_PART = re.compile(r"-00001-of-\d{5}\.gguf$", re.IGNORECASE)


class GGUF:
    """An open model file. A split set reads as one: every part's tensors, the first's metadata without `split.*`.
    stored_as: how weights were quantized that are floats here, if they were. left_out: what a checkpoint holds besides
    its language model, such as vision."""

    stored_as = ""
    left_out: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        paths: list[Path],
        buffers: list[mmap.mmap],
        version: int,
        tensors: dict[str, TensorInfo],
        metadata: Metadata,
    ) -> None:
        """path: what the user opened. paths: all files that make up the model. buffers: those of its parts, mapped."""
        self.path, self.paths, self._buffers = path, paths, buffers
        self.version, self.tensors, self.metadata = version, tensors, metadata
        self._sha256: str | None = None

    def __repr__(self) -> str:
        kind = escaped(str(self.metadata.get("general.architecture", "no architecture")))
        size = f"{len(self.tensors)} tensors, {self.file_bytes / 1e6:,.1f} MB"
        return f"<{type(self).__name__} {escaped(self.called)}: {kind}, {size}>"

    @property
    def called(self) -> str:
        """The model's name for people."""
        return self.path.name

    @property
    def file_bytes(self) -> int:
        """Bytes on disk, all parts together."""
        return sum(len(buffer) for buffer in self._buffers)

    def sha256(self, progress: Progress | None = None) -> str:
        """SHA-256 of the bytes on disk, all parts together; they are read once."""
        if self._sha256 is None:
            self._sha256 = checksum.sha256(self.paths, progress)
        return self._sha256

    def release(self) -> None:
        """Free the memory of the pages read so far, if the system can; later reads work as before."""
        for buffer in self._buffers:
            system.release_pages(buffer)

    def tensor(self, name: str) -> QuantizedTensor:
        """A tensor whose data, uint8 `(rows, bytes of a row)`, is a read-only view of the mapped file."""
        if name not in self.tensors:
            raise UnknownNameError("tensor", name, self.tensors)
        mapping.check()
        info = self.tensors[name]
        data = np.frombuffer(self._buffers[info.part], np.uint8, info.nbytes, info.offset)
        row_bytes = info.format.row_bytes(info.shape[-1])
        return QuantizedTensor(name, info.shape, info.format, data.reshape(*info.shape[:-1], row_bytes))


def open(path: str | Path) -> GGUF:
    """Open a GGUF file of version 2 or 3, or the first part of a split set with all the others.

    Raises FileFormatError if the file breaks the format, UnsupportedError if a tensor's format is one bitwright
    cannot decode, BitwrightError if the file cannot be read.
    """
    path = Path(path)
    buffers = [inputs.mapped(path, "a GGUF file")]
    first = parse(buffers[0], path)
    metadata, tensors = Metadata(buffers[0], path, first.values), dict(first.tensors)
    number, count = _place(metadata)
    paths = part_paths(path, count) if count > 1 else [path]
    if number:
        raise FileFormatError(path, None, f"the first part, {paths[0].name}", f"part {number + 1} of {count}")
    for index, part_path in enumerate(paths[1:], 1):
        buffers.append(inputs.mapped(part_path, "a GGUF file"))
        part = parse(buffers[index], part_path, index)
        if (place := _place(Metadata(buffers[index], part_path, part.values))) != (index, count):
            raise FileFormatError(part_path, None, f"part {index + 1} of {count}", f"part {place[0] + 1} of {place[1]}")
        if repeated := tensors.keys() & part.tensors.keys():
            raise FileFormatError(part_path, None, "tensors that no other part has", f"{min(repeated)} again")
        tensors |= part.tensors
    total = Values(metadata).integer("split.tensors.count", len(tensors))
    if count > 1 and total != len(tensors):
        raise FileFormatError(path, None, f"{total} tensors in all parts (split.tensors.count)", str(len(tensors)))
    values = {key: value for key, value in first.values.items() if not key.startswith("split.")}
    return GGUF(path, paths, buffers, first.version, tensors, Metadata(buffers[0], path, values))


def part_paths(path: Path, count: int) -> list[Path]:
    """The files of a split set of `count`, in order, given the name of any of them."""
    match = PART.search(path.name)
    if match is None or int(match[2]) != count:
        raise FileFormatError(path, None, f"one of {count} parts, named like -00001-of-{count:05}.gguf", path.name)
    stem = path.name[: match.start()]
    return [path.with_name(part_name(stem, n, count, match[3])) for n in range(1, count + 1)]


def _place(metadata: Metadata) -> tuple[int, int]:
    """Which part of how many this file is, counted from 0; a file that is not split is part 0 of 1."""
    values = Values(metadata)
    number, count = values.integer("split.no", 0, high=MOST_PARTS), values.integer("split.count", 1, high=MOST_PARTS)
    return (number, count) if count > 1 else (0, 1)
