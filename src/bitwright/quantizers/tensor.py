"""Quantize one tensor: natively if there is an encoder, else by the format's NumPy `fit`, `round` and `pack`.

Method "search" chooses the codes of least (weighted) squared error in each block, method "rtn" those of llama.cpp.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright import formats, kernels
from bitwright.errors import BitwrightError, UnsupportedError
from bitwright.formats import Format, QuantizedTensor
from bitwright.formats.tensor import HasShape
from bitwright.kernels.encoders import SOURCES, encoders


def can_encode(format: Format) -> bool:
    """Whether tensors can be quantized to the format."""
    return format.ggml in encoders() or format.encodes


def takes_importance(format: Format, method: str = "search") -> bool:
    """Whether the method weighs errors by importance in this format. Only native encoders do."""
    return format.ggml in encoders() and encoders()[format.ggml][method]


def evened(importance: NDArray[np.float32], format: Format) -> NDArray[np.float32]:
    """Importance (..., columns) in which columns that share a scale and have none count as much as the mean of those
    that have some: without any weight, their values would be lost."""
    width = (format.block_size or importance.shape[-1]) // format.groups
    if importance.shape[-1] % width or importance.reshape(-1, width).any(axis=1).all():
        return importance
    some = importance[importance > 0]
    mean = some.mean(dtype=np.float64) if some.size else 1
    runs = importance.reshape(-1, width)
    return np.where(runs.any(axis=1, keepdims=True), runs, np.float32(mean)).reshape(importance.shape)


def encodable_names() -> list[str]:
    """The names of the formats that tensors can be quantized to."""
    return [format.name for format in formats.all() if can_encode(format)]


def quantize_tensor(
    values: ArrayLike,
    format: Format | str,
    importance: NDArray[np.float32] | None = None,
    name: str = "",
    threads: int | None = None,
    method: str = "search",
) -> QuantizedTensor:
    """Quantize values (..., columns) to `format`.

    importance: float32 (columns,), the mean squared activation of each column (zeros: `evened`). threads: None for all
    cores; the bytes do not depend on it. method: "search" for the least squared error in each block, "rtn" for
    llama.cpp's choice. Raises UnsupportedError for a format that cannot be encoded or takes no importance, UsageError
    if blocks do not divide the columns, BitwrightError naming tensor and place for a value that is not finite or too
    large.
    """
    format = formats.get(format) if isinstance(format, str) else format
    array = np.asarray(values)
    if array.dtype not in SOURCES or array.dtype == np.uint16:
        array = array.astype(np.float32)
    data = encode_rows(array.reshape(-1, array.shape[-1]), format, importance, name, threads, method)
    return QuantizedTensor(name, array.shape, format, data)


def encode_rows(
    values: NDArray[Any],
    format: Format,
    importance: NDArray[np.float32] | None = None,
    name: str = "",
    threads: int | None = None,
    method: str = "search",
) -> NDArray[np.uint8]:
    """Packed bytes (rows, row bytes) of values (rows, columns): float32, float16, or bfloat16 bits as uint16.

    Arguments and errors are those of `quantize_tensor`.
    """
    if not can_encode(format):
        raise UnsupportedError("encoding to", format.name, encodable_names())
    importance = None if importance is None else evened(importance, format)
    with tensor_in_errors(name):
        if format.ggml in encoders():
            return kernels.quantize(format, values, importance, threads, method=method)
        values = as_float32(values)
        if method == "search" and importance is None:
            importance = np.ones(values.shape[-1], np.float32)  # makes the format try several scales
        return format.quantize(values, importance)


def check_finite(values: NDArray[Any], tensor: HasShape, start: int = 0) -> None:
    """Raise BitwrightError naming tensor and place if its rows from `start` on, values (rows, columns), are not all
    finite. Arrays are float32, float16, or bfloat16 bits as uint16."""
    step = max(1, (1 << 20) // values.shape[1])
    for first in range(0, len(values), step):
        part = as_float32(values[first : first + step])
        bad = np.flatnonzero(~np.isfinite(part))
        if bad.size:
            place = np.unravel_index((start + first) * values.shape[1] + bad[0], tensor.shape)
            index = ", ".join(map(str, place))
            raise BitwrightError(f"tensor {tensor.name}: expected finite values, got {part.flat[bad[0]]} at [{index}]")


@contextlib.contextmanager
def tensor_in_errors(name: str) -> Iterator[None]:
    """Add the tensor's name to errors about its values; errors about arguments pass unchanged."""
    try:
        yield
    except BitwrightError as error:
        if type(error) is not BitwrightError:
            raise
        raise BitwrightError(f"tensor {name or '(unnamed)'}: {error}") from None


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """float32 of values that are float32, float16, or bfloat16 bits as uint16."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(values, np.float32)
