"""Matrices that a checkpoint holds quantized, as floats.

Two layouts are read: FP8 with scales of blocks, as DeepSeek and Qwen publish it (transformers'
src/transformers/integrations/finegrained_fp8.py), and the FP8, FP4 and integers of compressed-tensors
(https://github.com/vllm-project/compressed-tensors, src/compressed_tensors/compressors).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError
from bitwright.formats import Format
from bitwright.formats.floats import float4_e2m1fn
from bitwright.io.values import Values
from bitwright.model.architectures.checkpoint import FLOATS

METHODS = ("fp8", "compressed-tensors", "mxfp4")
FORMS: dict[str, type[np.generic]] = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
PACKED = "pack-quantized"
PACKED_FP4 = {"mxfp4": "mxfp4-pack-quantized", "nvfp4": "nvfp4-pack-quantized"}
COMPRESSED = ("naive-quantized", "int-quantized", "float-quantized", PACKED, *PACKED_FP4.values())
SCALES_OF = {name: ("U8", "float8_e8m0fnu") if format == "mxfp4" else ("F8_E4M3", "float8_e4m3fn")
             for format, name in PACKED_FP4.items()}  # fmt: skip
ZERO_SCALE = 127  # in E4M3 no number; in ggml's NVFP4, 0
PACKED_BITS = (2, 4, 8)  # those between have been packed in two ways under one name
STRATEGIES = ("tensor", "channel", "group", "tensor_group", "block")
UNUSED = (  # scales of activations, keys and values, which the engine keeps in formats of its own
    *(".input_scale", ".output_scale", ".activation_scale", ".q_scale", ".k_scale", ".v_scale"),
)
ZEROS = ".weight_zero_point"
AT_ONCE = 1 << 20  # weights decoded at once


class Layout(NamedTuple):
    """How a checkpoint stores its quantized matrices.

    scale: the end of the names of scales, each of which is for `block` (rows, columns) of weights, 0 for all. codes:
    that of the names of codes, of type `dtype`; packed into it if it is I32, `bits` each, or U8, two of FP4. zeros: the
    type of zero-points, "" if there are none. scales: the types of scales, and the format of those that are no usual
    floats. whole: the end of the name of a number that divides all scales, "" if there is none. method: its name in
    config.json.
    """

    method: str
    scale: str
    codes: str
    dtype: str
    block: tuple[int, int]
    bits: int = 8
    zeros: str = ""
    scales: tuple[Collection[str], str] = (FLOATS, "")
    whole: str = ""


class Part(NamedTuple):
    """A tensor of a file: its type by the names of safetensors, and a view of it, bfloat16 and FP8 as their bits."""

    dtype: str
    values: NDArray[Any]


def layout(config: Values) -> Layout | None:
    """How a config.json says that matrices are quantized; None if they are not, or if they are experts in MXFP4.
    UnsupportedError for another way."""
    if not config.has("quantization_config"):
        return None
    found = config.inner("quantization_config")
    if (method := found.text("quant_method", "unknown")) == "fp8":
        block = _block(found, "weight_block_size") if found.has("weight_block_size") else (0, 0)
        return Layout(method, ".weight_scale_inv", ".weight", "F8_E4M3", block)
    if method == "compressed-tensors":
        return _compressed(found)
    if method == "mxfp4":
        return None
    instead = [*METHODS, "floats, such as those from which these were made"]
    raise UnsupportedError(f"{config.place}: converting weights quantized by", method, instead)


def _compressed(found: Values) -> Layout:
    """The layout that compressed-tensors' settings describe, if it is one for all matrices."""
    place = found.place
    if (kind := found.text("format", "dense")) not in COMPRESSED:
        raise UnsupportedError(f"{place}: compressed-tensors' format", kind, COMPRESSED)
    if found.inner("transform_config").values:
        raise UnsupportedError(f"{place}: {found.name('transform_config')} of", "rotated weights", ["no such key"])
    if (sparse := found.inner("sparsity_config").text("format", "dense")) != "dense":
        raise UnsupportedError(f"{place}: sparse weights in format", sparse, ["dense"])
    groups = found.inner("config_groups")
    given = [groups.inner(name.removeprefix(f"{groups.prefix}.")).inner("weights") for name in groups.values]
    if not given or any(_settings(one) != _settings(given[0]) for one in given):
        raise UnsupportedError(f"{place}: config_groups with", f"{len(given)} settings of weights", ["one for all"])
    weights = given[0]
    strategy, bits = weights.text("strategy", "tensor"), weights.integer("num_bits", 8)
    if strategy not in STRATEGIES:
        raise UnsupportedError(f"{place}: {weights.name('strategy')} of", strategy, STRATEGIES)
    block = {"tensor": (0, 0), "channel": (1, 0)}.get(strategy) or (
        (1, weights.integer("group_size", low=1)) if "group" in strategy else _block(weights, "block_structure")
    )
    if kind in SCALES_OF:
        return _fp4(weights, kind, block, bits)
    packed, kind = kind == PACKED, weights.text("type", "int")
    allowed = {"int": PACKED_BITS if packed else (8,), "float": () if packed else (8,)}.get(kind, ())
    if bits not in allowed:
        raise UnsupportedError(f"{place}: {weights.name('num_bits')} of", f"{bits}, {kind}", ["int 8", "float 8",
                               *(f"packed int {n}" for n in PACKED_BITS)])  # fmt: skip
    dtype = "I32" if packed else "I8" if kind == "int" else "F8_E4M3"
    zeros = "" if weights.flag("symmetric", True) else "I32" if packed and strategy in ("channel", "group") else "I8"
    return Layout(METHODS[1], ".weight_scale", ".weight_packed" if packed else ".weight", dtype, block, bits, zeros)


def _fp4(weights: Values, kind: str, block: tuple[int, int], bits: int) -> Layout:
    """MXFP4 and NVFP4, symmetric in groups."""
    is_mx, symmetric = kind == PACKED_FP4["mxfp4"], weights.flag("symmetric", True)
    given = f"{bits} bits, {weights.text('type', 'int')}, groups of {block[1]}{', with zero-points' * (not symmetric)}"
    if given != (expected := f"4 bits, float, groups of {32 if is_mx else 16}"):
        raise UnsupportedError(f"{weights.place}: {kind} with weights of", given, [expected])
    (dtype, format), whole = SCALES_OF[kind], "" if is_mx else ".weight_global_scale"
    return Layout(METHODS[1], ".weight_scale", ".weight_packed", "U8", block, bits, "", ((dtype,), format), whole)


def _settings(weights: Values) -> dict[str, Any]:
    """What decides how matrices are stored, of a group's settings."""
    keys = ("num_bits", "type", "strategy", "group_size", "block_structure", "symmetric")
    return {key: weights.get(key) for key in keys}


def _block(values: Values, key: str) -> tuple[int, int]:
    rows, columns = values.numbers(key, 2, whole=True).tolist()
    if min(rows, columns) < 1:
        raise values.error(key, "two numbers of at least 1")
    return rows, columns


class Matrix:
    """A quantized matrix. shape: (rows, columns). format: that of its floats, by the type of its scales: float16, or
    bfloat16. path: its file. parts: the names of the tensors that it is stored in."""

    def __init__(self, layout: Layout, stem: str, find: Callable[[str], Part | None], path: Path) -> None:
        """stem: what the names of its parts begin with. find: a tensor by name. FileFormatError, which names `path`, if
        one is missing, or of another type or shape."""

        def part(end: str, dtypes: Collection[str], *shape: int) -> Part:
            found = find(f"{stem}{end}")
            if found is None or found.dtype not in dtypes or (shape and not _same(found.values.shape, shape)):
                expected = f"a tensor {stem}{end} of type {' or '.join(dtypes)}{f' and shape {shape}' if shape else ''}"
                got = "none" if found is None else f"{found.dtype} of shape {found.values.shape}"
                raise FileFormatError(path, None, expected, got)
            self.parts.append(f"{stem}{end}")
            return Part(found.dtype, found.values.reshape(shape or found.values.shape))

        self.name, self.path, self.parts, self._layout = f"{stem}.weight", path, list[str](), layout
        if layout.dtype == "I32":
            rows, columns = part(".weight_shape", ("I64", "I32"), 2).values.tolist()
            if min(rows, columns) < 1:
                raise FileFormatError(path, None, f"{stem}.weight_shape to be two sizes", f"{rows}, {columns}")
            self._codes = part(layout.codes, (layout.dtype,), rows, _words(columns, layout.bits)).values
        else:
            self._codes = part(layout.codes, (layout.dtype,)).values
            if self._codes.ndim != 2:
                raise FileFormatError(path, None, f"a matrix {stem}{layout.codes}", f"shape {self._codes.shape}")
            rows, columns = self._codes.shape
            columns *= 2 if layout.dtype == "U8" else 1
        self.shape = (rows, columns)
        self._block = (layout.block[0] or rows, layout.block[1] or columns)
        scales = (math.ceil(rows / self._block[0]), math.ceil(columns / self._block[1]))
        types, format = layout.scales
        scale = part(layout.scale, types, *scales)
        self.format = formats.get("float16" if scale.dtype == "F16" else "bfloat16")
        self._scale = formats.get(format or FLOATS[scale.dtype]).dequantize(scale.values.view(np.uint8))
        if layout.whole:
            self._scale = self._scale / part(layout.whole, ("F32",), 1).values
        self._zero = None
        if layout.zeros == "I32":
            words = part(ZEROS, (layout.zeros,), _words(rows, layout.bits), scales[1]).values
            self._zero = _unpacked(words.T, rows, layout.bits).T
        elif layout.zeros:
            self._zero = part(ZEROS, (layout.zeros,), *scales).values

    def values(self) -> NDArray[Any]:
        """All weights as floats, bfloat16 as their bits. BitwrightError if one is no number, or too large."""
        rows, columns = self.shape
        made = np.empty((rows, self.format.row_bytes(columns)), np.uint8)
        step = max(1, AT_ONCE // columns)
        for first in range(0, rows, step):
            part = slice(first, min(first + step, rows))
            weights = self._decoded(part)
            if self._zero is not None:
                weights -= self._spread(self._zero, part)
            weights *= self._spread(self._scale, part)
            made[part] = rounded(weights, self.format, self.name, self.path, first)
        return made.view(FORMS[self.format.name])

    def _decoded(self, part: slice) -> NDArray[np.float32]:
        """The codes of some rows as numbers, before zero-points and scales."""
        codes = self._codes[part]
        if self._layout.dtype == "F8_E4M3":
            return formats.get("float8_e4m3fn").dequantize(codes)
        if self._layout.dtype == "U8":
            halves = np.stack([codes & np.uint8(15), codes >> np.uint8(4)], -1).reshape(len(codes), -1)
            return float4_e2m1fn.table[halves]
        packed = self._layout.dtype == "I32"
        return (_unpacked(codes, self.shape[1], self._layout.bits) if packed else codes).astype(np.float32)

    def _spread(self, values: NDArray[Any], part: slice) -> NDArray[Any]:
        """Of values for blocks, those for every weight of some rows."""
        rows = np.arange(part.start, part.stop) // self._block[0]
        return np.repeat(values[rows], self._block[1], axis=1)[:, : self.shape[1]]


def rounded(values: NDArray[np.float32], format: Format, name: str, path: Path, first: int = 0) -> NDArray[np.uint8]:
    """The bytes of floats in `format`. BitwrightError, naming the tensor, if one is no number, or too large. first: the
    row that they begin with."""
    try:
        return format.quantize(values)
    except BitwrightError as error:
        raise BitwrightError(f"{path}: {name}, in rows from {first}: {error}") from error


def _same(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a tensor has the expected shape, but for dimensions of 1."""
    return [n for n in shape if n != 1] == [n for n in expected if n != 1]


def _words(count: int, bits: int) -> int:
    return math.ceil(count * bits / 32)


def _unpacked(words: NDArray[Any], count: int, bits: int) -> NDArray[np.int16]:
    """The first `count` signed codes of each row of 32-bit words, the lowest bits first."""
    data = np.ascontiguousarray(words).view(np.uint8)
    codes = data[..., None] >> np.arange(0, 8, bits, dtype=np.uint8) & np.uint8((1 << bits) - 1)
    return codes.reshape(len(words), -1)[:, :count].astype(np.int16) - (1 << (bits - 1))
