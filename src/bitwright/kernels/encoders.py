"""The facade over the native encoders: values in, a format's bytes out, rows shared among threads."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.formats import Format, from_ggml
from bitwright.kernels import _native

SOURCES = (np.float32, np.float16, np.uint16)  # uint16 holds bfloat16 bits


@cache
def encoders() -> dict[int, bool]:
    """GGUF type id of each format with a native encoder, and whether it takes an importance."""
    return {format: importance for format, _, _, importance in _native.core().encoder_formats()}


def quantize(
    format: Format,
    values: NDArray[Any],
    importance: NDArray[np.float32] | None = None,
    threads: int | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Encodes values (rows, columns) to uint8 (rows, row bytes), written to `out` where given.

    values: float32, float16, or bfloat16 bits as uint16. importance: float32 (columns,), the mean squared input of each
    column, weighs the squared error. threads: None for every core; the bytes do not depend on it.

    Raises UnsupportedError where the format has no native encoder or no use for an importance, UsageError on a shape
    the format cannot hold, BitwrightError naming row and column at a value that is NaN, infinite or out of range.
    """
    able = encoders()
    if format.ggml not in able:
        raise UnsupportedError("encoding to", format.name, [from_ggml(n).name for n in able])
    if importance is not None and not able[format.ggml]:
        raise UnsupportedError("importance for", format.name, [from_ggml(n).name for n, takes in able.items() if takes])
    if values.ndim != 2 or values.dtype not in SOURCES:
        raise UsageError(f"expected (rows, columns) of float32 or float16, got {values.shape} of {values.dtype}")
    shape = (values.shape[0], format.row_bytes(values.shape[1]))
    out = np.empty(shape, np.uint8) if out is None else out
    values = np.ascontiguousarray(values)
    portable = os.environ.get("BITWRIGHT_TIER") == "scalar"
    kind, row, column = _native.core().quantize(format.ggml, values, importance, out, threads or 0, portable)
    if kind == "not_finite":
        raise BitwrightError(f"expected finite values, got {_value(values, row, column)} at [{row}, {column}]")
    if kind == "overflow":
        raise BitwrightError(
            f"the block at [{row}, {column}] (values up to {_largest(format, values, row, column):g}) "
            f"is out of the range of {format.name}"
        )
    return out


def _value(values: NDArray[Any], row: int, column: int) -> float:
    if values.dtype == np.uint16:
        return float((values[row, column : column + 1].astype(np.uint32) << 16).view(np.float32)[0])
    return float(values[row, column])


def _largest(format: Format, values: NDArray[Any], row: int, column: int) -> float:
    return max(abs(_value(values, row, column + i)) for i in range(format.block_size))
