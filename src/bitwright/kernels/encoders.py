"""The facade over the native encoders: values in, a format's bytes out, rows shared among threads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UnknownNameError, UnsupportedError, UsageError
from bitwright.formats import Format, from_ggml
from bitwright.kernels import _native

METHODS = ("search", "rtn")
SOURCES = (np.float32, np.float16, np.uint16)  # uint16 holds bfloat16 bits


@cache
def encoders() -> dict[int, dict[str, bool]]:
    """GGUF type id of each format with a native encoder, and by method whether it uses importance."""
    return {format: {"rtn": rtn, "search": search} for format, _, _, rtn, search in _native.core().encoder_formats()}


def quantize(
    format: Format,
    values: NDArray[Any],
    importance: NDArray[np.float32] | None = None,
    threads: int | None = None,
    out: NDArray[np.uint8] | None = None,
    method: str = "search",
) -> NDArray[np.uint8]:
    """Encode values (rows, columns) to uint8 (rows, row bytes), written to `out` if given.

    values: float32, float16, or bfloat16 bits as uint16. importance: float32 (columns,), the mean squared input of each
    column, weighs the squared error. threads: None for all cores; the bytes do not depend on it. method: "search", the
    scales and codes of least (weighted) squared error in each block, or "rtn", those that llama.cpp chooses; formats
    whose codes are points of a grid (IQ1 to IQ3) have only method "search".

    Raises UnsupportedError if the format has no native encoder or does not use importance, UsageError for a shape the
    format cannot hold or an importance that is negative or not finite, BitwrightError naming row and column for a value
    that is NaN, infinite or out of range.
    """
    able = encoders()
    check_method(method)
    if format.ggml not in able:
        raise UnsupportedError("encoding to", format.name, [from_ggml(n).name for n in able])
    if importance is not None:
        if not able[format.ggml][method]:
            takers = [from_ggml(n).name for n, takes in able.items() if takes[method]]
            raise UnsupportedError(f"importance with method {method} for", format.name, takers)
        importance = _checked(importance, values.shape[-1])
    if values.ndim != 2 or values.dtype not in SOURCES:
        raise UsageError(f"expected (rows, columns) of float32 or float16, got {values.shape} of {values.dtype}")
    shape = (values.shape[0], format.row_bytes(values.shape[1]))
    out = np.empty(shape, np.uint8) if out is None else out
    values = np.ascontiguousarray(values)
    arguments = _native.format_id(format), values, importance, method == "search", out, _native.thread_count(threads)
    kind, row, column = _native.core().quantize(*arguments)
    if kind == "not_finite":
        raise BitwrightError(f"expected finite values, got {_value(values, row, column)} at [{row}, {column}]")
    if kind == "overflow":
        raise BitwrightError(
            f"the block at [{row}, {column}] (values up to {_largest(format, values, row, column):g}) "
            f"is out of the range of {format.name}"
        )
    return out


def check_method(method: str) -> None:
    """Raise UnknownNameError unless there is such a method."""
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)


def _checked(importance: NDArray[Any], columns: int) -> NDArray[np.float32]:
    if importance.shape != (columns,):
        raise UsageError(f"expected one importance for each of {columns} columns, got shape {importance.shape}")
    bad = np.flatnonzero(~(np.isfinite(importance) & (importance >= 0)))
    if bad.size:
        raise UsageError(f"expected importance of at least 0, got {importance[bad[0]]} at column {bad[0]}")
    return np.ascontiguousarray(importance, np.float32)


def _value(values: NDArray[Any], row: int, column: int) -> float:
    if values.dtype == np.uint16:
        return float((values[row, column : column + 1].astype(np.uint32) << 16).view(np.float32)[0])
    return float(values[row, column])


def _largest(format: Format, values: NDArray[Any], row: int, column: int) -> float:
    return max(abs(_value(values, row, column + i)) for i in range(format.block_size))
