"""Rows of a model's weights, and superblocks whose scales are small integers: what the chapter on blocks works with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.formats import scale_fit
from bitwright.formats.rounding import inverse
from bitwright.quantizers.tensor import quantize_tensor
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.formats.format import Floats
    from bitwright.io.gguf import GGUF, TensorInfo

LAYER = re.compile(r"blk\.(\d+)\.")
SUPERBLOCK, SUB_BLOCK, TOP = 256, 32, 15  # weights, weights, the largest code of 4 bits
SCALE_BITS = (2, 3, 4, 5, 6, 7, 8)
ENCODED = ("q4_0", "q4_1", "q4_k")
FEWEST = 64  # columns
AT_ONCE = 1 << 22  # weights decoded at a time


def rows(file: GGUF) -> dict[str, Any]:
    """tensors[{name, shape, format, bits_per_weight}]: the matrices of the first, the middle and the last layer, and
    those outside layers; first: the one stored in most bits."""
    found = shown(file)
    return plain(
        {
            "tensors": [
                {"name": t.name, "shape": t.shape, "format": t.format.name, "bits_per_weight": bits_per_weight(t)}
                for t in found
            ],
            "first": max(found, key=bits_per_weight).name if found else None,
        }
    )


def bits_per_weight(tensor: TensorInfo) -> float:
    """All stored bits over all weights."""
    return 8 * tensor.nbytes / math.prod(tensor.shape)


def shown(file: GGUF) -> list[TensorInfo]:
    """The tensors that `rows` lists."""
    matrices = [t for t in file.tensors.values() if len(t.shape) > 1 and t.shape[-1] >= FEWEST]
    layers = sorted({int(match[1]) for t in matrices if (match := LAYER.match(t.name))})
    wanted = {layers[at] for at in (0, len(layers) // 2, -1)} if layers else set()
    return [t for t in matrices if (match := LAYER.match(t.name)) is None or int(match[1]) in wanted]


def row(file: GGUF, name: str) -> dict[str, Any]:
    """The middle row of a tensor: name, format, bits_per_weight, shape, row, values[], low and high (of the whole
    tensor), superblock (None with fewer than 256 columns; else what `superblock` gives for the first 256)."""
    tensor = file.tensor(name)
    middle = len(data := tensor.data.reshape(-1, tensor.data.shape[-1])) // 2
    values = kernels.dequantize(tensor.format, data[middle])
    low, high = np.inf, -np.inf
    for part in parts(file, name):
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    return plain(
        {
            "name": name,
            "format": tensor.format.name,
            "bits_per_weight": bits_per_weight(file.tensors[name]),
            "shape": tensor.shape,
            "row": middle,
            "values": shortest(values),
            "low": low,
            "high": high,
            "superblock": superblock(values[:SUPERBLOCK]) if len(values) >= SUPERBLOCK else None,
        }
    )


def parts(file: GGUF, name: str) -> Iterator[Floats]:
    """A tensor's weights, float32 (rows, columns), some rows at a time."""
    tensor = file.tensor(name)
    data = tensor.data.reshape(-1, tensor.data.shape[-1])
    step = max(1, AT_ONCE // tensor.shape[-1])
    for start in range(0, len(data), step):
        yield kernels.dequantize(tensor.format, data[start : start + step])


def shortest(values: NDArray[np.float32]) -> list[float]:
    """The numbers of fewest digits that float32 rounds to `values`."""
    return [float(str(value)) for value in values]


def superblock(values: Floats) -> dict[str, Any]:
    """Eight sub-blocks of 32 weights (256,) in 4-bit codes, each with a scale and a minimum.

    scales[], minimums[] (not above 0), plain{bits_per_weight, error}: both are float16. nested[{bits, scales[],
    minimums[], bits_per_weight, error}]: both are integers of so many bits, times two float16 of the superblock, as in
    Q4_K. encoded{q4_0, q4_1, q4_k}: the error that `quantize` makes. Errors are those of the weights, relative to
    their norm."""
    x = values.reshape(-1, SUB_BLOCK)
    scale, minimum = scale_fit.asymmetric(x, np.ones_like(x), TOP, np.zeros(0, np.float32))
    stored = scale.astype(np.float16).astype(np.float32), minimum.astype(np.float16).astype(np.float32)
    return {
        "scales": scale,
        "minimums": minimum,
        "plain": {"bits_per_weight": 4 + 32 / SUB_BLOCK, "error": _error(x, *stored)},
        "nested": [_nested(x, scale, minimum, bits) for bits in SCALE_BITS],
        "encoded": {name: relative_error(values, quantize_tensor(values, name).dequantize()) for name in ENCODED},
    }


def _nested(x: Floats, scale: Floats, minimum: Floats, bits: int) -> dict[str, Any]:
    top = np.float32((1 << bits) - 1)
    outer = (scale.max() / top).astype(np.float16).astype(np.float32)
    outer_min = (minimum.min() / top).astype(np.float16).astype(np.float32)
    scales = outer * np.rint(scale * inverse(outer)).clip(0, top)
    minimums = outer_min * np.rint(minimum * inverse(outer_min)).clip(0, top)
    per_weight = 4 + 2 * bits / SUB_BLOCK + 32 / SUPERBLOCK
    error = _error(x, scales, minimums)
    return {"bits": bits, "scales": scales, "minimums": minimums, "bits_per_weight": per_weight, "error": error}


def _error(x: Floats, scale: Floats, minimum: Floats) -> float:
    """Of 4-bit codes chosen on the grids of scales and minimums (sub-blocks,)."""
    codes = np.rint((x - minimum[:, None]) * inverse(scale)[:, None]).clip(0, TOP)
    return relative_error(x, scale[:, None] * codes + minimum[:, None])


def relative_error(values: Floats, read: Floats) -> float:
    """The norm of the difference, relative to that of `values`."""
    difference, size = (np.linalg.norm(a.astype(np.float64)) for a in (read - values, values))
    return float(difference / size) if size else 0.0
