"""The facade over native error feedback: values and a Hessian in, a format's bytes out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.formats import Format, from_ggml
from bitwright.kernels import _native


@cache
def feedback_formats() -> dict[int, int]:
    """GGUF type id of each format that can be encoded with feedback, and the columns whose scales belong together."""
    return dict(_native.core().feedback_formats())


def factored(hessian: NDArray[np.float32], threads: int | None = None) -> NDArray[np.float32]:
    """The factor (columns, columns) of a Hessian that `feedback` takes. UsageError for a shape that is not square or
    not a multiple of 16, BitwrightError if the Hessian is not positive definite."""
    if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1] or hessian.shape[0] % 16:
        raise UsageError(f"expected (columns, columns), a multiple of 16, got {hessian.shape}")
    factor = np.array(hessian, np.float32, order="C")
    if not _native.core().factor(factor, _native.thread_count(threads)):
        raise BitwrightError("the Hessian is not positive definite: its damping is too small")
    return factor


def feedback(
    format: Format,
    values: NDArray[np.float32],
    hessian: NDArray[np.float32],
    rounds: int = 2,
    threads: int | None = None,
    factor: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.uint8], list[float]]:
    """Encode values (rows, columns) so that tr(E H E') is small, where E is the error of the decoded values.

    GPTQ (arXiv 2210.17323) on the format's grid, then `rounds` of coordinate descent. hessian: (columns, columns),
    symmetric, positive definite. factor: `factored(hessian)`, if it is at hand. Returns uint8 (rows, row bytes) and the
    objective after feedback and after each round. The bytes depend neither on `threads` nor on the machine.

    Raises UnsupportedError for a format without feedback, UsageError for shapes that do not match, BitwrightError if
    values or Hessian are not finite, the Hessian is not positive definite or a scale leaves the format's range.
    """
    if format.ggml not in feedback_formats():
        raise UnsupportedError("error feedback for", format.name, [from_ggml(n).name for n in feedback_formats()])
    columns = values.shape[-1]
    if values.ndim != 2 or hessian.shape != (columns, columns):
        raise UsageError(f"expected (rows, columns) and (columns, columns), got {values.shape} and {hessian.shape}")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise BitwrightError(f"expected finite values, got {values[row, column]} at [{row}, {column}]")
    out = np.empty((len(values), format.row_bytes(columns)), np.uint8)
    factor = factored(hessian, threads) if factor is None else factor
    arrays: list[Any] = [np.ascontiguousarray(a, np.float32) for a in (values, hessian, factor)]
    objective = _native.core().feedback(_native.format_id(format), *arrays, rounds, out, _native.thread_count(threads))
    if not np.isfinite(objective).all():
        raise BitwrightError(f"values up to {np.abs(values).max():g} are out of the range of {format.name}")
    return out, list(objective)
