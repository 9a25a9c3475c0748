"""Experts of which a checkpoint holds one tensor for all, and gate and up in one, their rows in turn: gpt-oss.

As floats it is (experts, columns, rows). In MXFP4 it is two: `_blocks` (experts, rows, blocks, 16) of codes, two in a
byte with the first in the low half, and `_scales` (experts, rows, blocks). GGUF's blocks hold the same codes and scales
(llama.cpp's conversion/gpt_oss.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.formats import Format
from bitwright.model.architectures.checkpoint import FLOATS
from bitwright.model.conversion.quantized import Part

STORED = re.compile(r"(.+\.experts\.)(gate_up_proj|down_proj)(_bias|_blocks|)")
SHARES = {  # the weights in a stored one, and their rows
    "gate_up_proj": {"gate_proj": slice(0, None, 2), "up_proj": slice(1, None, 2)},
    "down_proj": {"down_proj": slice(None)},
}
DIMENSIONS = {"": 3, "_bias": 2, "_blocks": 4}
MXFP4 = formats.get("mxfp4")


class Share(NamedTuple):
    """A weight that is a part of stored ones. parts: their names. values: makes it: floats, or the bytes of blocks."""

    name: str
    path: Path
    parts: tuple[str, ...]
    shape: tuple[int, ...]
    format: Format
    values: Callable[[], NDArray[Any]]


def taken_apart(names: Iterable[str], find: Callable[[str], Part | None], path: Path) -> Iterator[Share]:
    """The weights of experts in the tensors `names`. find: a tensor by name. path: named in errors.

    FileFormatError for a tensor that is missing or of another type or shape, UnsupportedError for one of no floats.
    """
    for name in names:
        if not (match := STORED.fullmatch(name)):
            continue
        stem, stored, kind = match.groups()
        values = _checked(name, find, path, DIMENSIONS[kind])
        for own, rows in SHARES[stored].items():
            if kind == "_blocks":
                yield _in_blocks(f"{stem}{own}.weight", name, values, rows, find, path)
                continue
            if values.dtype not in FLOATS:
                raise UnsupportedError(f"{path}: tensor {name} of type", values.dtype, FLOATS)
            end, floats = ("bias", values.values) if kind else ("weight", values.values.swapaxes(1, 2))
            part = floats[:, rows]
            format = formats.get(FLOATS[values.dtype])
            yield Share(f"{stem}{own}.{end}", path, (name,), part.shape, format, partial(np.ascontiguousarray, part))


def _checked(
    name: str, find: Callable[[str], Part | None], path: Path, dimensions: int, shape: tuple[int, ...] = ()
) -> Part:
    found = find(name)
    if found is None or found.values.ndim != dimensions or (shape and found.values.shape != shape):
        got = "none" if found is None else f"{found.dtype} of shape {found.values.shape}"
        expected = f"of shape {shape}" if shape else f"of {dimensions} dimensions"
        raise FileFormatError(path, None, f"a tensor {name} {expected}", got)
    return found


def _in_blocks(own: str, name: str, codes: Part, rows: slice, find: Callable[[str], Part | None], path: Path) -> Share:
    experts, count, blocks, size = codes.values.shape
    scales_name = f"{name.removesuffix('_blocks')}_scales"
    scales = _checked(scales_name, find, path, 3, (experts, count, blocks))
    if size != MXFP4.block_size // 2 or {codes.dtype, scales.dtype} != {"U8"}:
        expected = f"{name} and its scales to be U8, {MXFP4.block_size // 2} bytes of codes for a scale"
        raise FileFormatError(path, None, expected, f"{codes.dtype} and {scales.dtype}, {size} bytes")
    shape = (experts, len(range(count)[rows]), blocks * MXFP4.block_size)
    made = partial(_blocks, codes.values[:, rows], scales.values[:, rows])
    return Share(own, path, (name, scales_name), shape, MXFP4, made)


def _blocks(codes: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """GGUF's blocks (experts, rows, bytes) of the codes and scales, an expert at a time."""
    experts, rows, blocks, _ = codes.shape
    made = np.empty((experts, rows, blocks * MXFP4.block_bytes), np.uint8)
    for expert in range(experts):
        both = np.stack([codes[expert] & 15, codes[expert] >> 4], axis=-1).reshape(-1, MXFP4.block_size)
        made[expert] = MXFP4.pack(both, (scales[expert].reshape(-1, 1),)).reshape(rows, -1)
    return made
