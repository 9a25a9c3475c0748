"""Matrix products with quantized weights, and dequantization, by the compiled kernels."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.errors import UnsupportedError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.formats import get as get_format
from bitwright.kernels._native import BEYOND_GGUF, core, format_id, thread_count
from bitwright.kernels.bank import WeightBank

Path = Literal["decode", "prefill"]


def tier() -> str:
    """The CPU tier in use; BITWRIGHT_TIER forces one. Raises UsageError if this machine cannot run the forced one."""
    return str(core().tier())


def tiers() -> list[str]:
    """The CPU tiers this machine can run, slowest first."""
    return list(core().tiers())


def dequantize(format: Format | str, data: NDArray[np.uint8], threads: int | None = None) -> NDArray[np.float32]:
    """Float32 weights (..., columns) of packed bytes (..., row bytes), bit-equal to ggml's; on all cores by default.

    Formats that the core lacks (the integer affine family) are decoded by `formats`, in NumPy.
    """
    format = get_format(format) if isinstance(format, str) else format
    data = np.ascontiguousarray(data)
    if data.dtype != np.uint8 or data.ndim < 1:
        raise UsageError(f"{format.name}: packed weights are uint8 bytes, got {data.dtype} of shape {data.shape}")
    if not is_native(format) or data.size == 0:
        return format.dequantize(data)
    columns = format.columns(data.shape[-1])
    rows = data.size // data.shape[-1]
    arguments = format_id(format), rows, columns, data.reshape(-1), thread_count(threads)
    weights: NDArray[np.float32] = core().dequantize(*arguments)
    return weights.reshape(*data.shape[:-1], columns)


def matmul(
    weight: QuantizedTensor, x: ArrayLike, path: Path = "decode", tier: str | None = None, threads: int | None = None
) -> NDArray[np.float32]:
    """x (tokens, columns) times the transpose of weight (rows, columns): (tokens, rows).

    Block formats multiply int8 inputs (one scale per 32 columns) with the stored codes; other formats multiply float32.
    `path` chooses the kernel for few tokens or the one for many; they agree.
    """
    if path not in ("decode", "prefill"):
        raise UsageError(f"expected path decode or prefill, got {path!r}")
    x = np.ascontiguousarray(x, dtype=np.float32)
    if x.ndim != 2:
        raise UsageError(f"expected x of (tokens, columns), got shape {x.shape}")
    y: NDArray[np.float32] = packed(weight, tier, threads).multiply(x, path == "prefill", threads=thread_count(threads))
    return y


def packed(weight: QuantizedTensor, tier: str | None = None, threads: int | None = None) -> Any:
    """The core's Matrix of a weight (rows, columns), packed for the tier: `multiply(x, prefill)` and `bytes`."""
    if len(weight.shape) != 2:
        raise UsageError(f"{weight.name}: expected (rows, columns), got shape {weight.shape}")
    if not is_native(weight.format):
        values = weight.dequantize()
        rows = values.view(np.uint8).reshape(len(values), -1)
        weight = QuantizedTensor(weight.name, weight.shape, get_format("f32"), rows)
    return WeightBank(tier, threads).matrices([weight], [True])[0][0]


@cache
def _native_ids() -> frozenset[int]:
    return frozenset(id for id, *_ in core().coverage())


def is_native(format: Format) -> bool:
    """Whether the core reads the format's bytes itself."""
    if format.ggml is None and format.name not in BEYOND_GGUF:
        return False
    try:
        return format_id(format) in _native_ids()
    except UnsupportedError:
        return False
