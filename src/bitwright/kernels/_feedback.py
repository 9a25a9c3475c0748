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


def feedback(
    format: Format,
    values: NDArray[np.float32],
    hessian: NDArray[np.float32],
    rounds: int = 2,
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], list[float]]:
    """Encode values (rows, columns) so that tr(E H E') is small, where E is the error of the decoded values.

    GPTQ (arXiv 2210.17323) on the format's grid, then `rounds` of coordinate descent. hessian: (columns, columns),
    symmetric, positive definite. Returns uint8 (rows, row bytes) and the objective after feedback and after each round.
    The bytes depend neither on `threads` nor on the machine.

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
    arrays: list[Any] = [np.ascontiguousarray(a, np.float32) for a in (values, hessian)]
    objective = _native.core().feedback(_native.format_id(format), *arrays, rounds, out, _native.thread_count(threads))
    if not objective:
        raise BitwrightError("the Hessian is not positive definite: its damping is too small")
    if not np.isfinite(objective).all():
        raise BitwrightError(f"values up to {np.abs(values).max():g} are out of the range of {format.name}")
    return out, list(objective)
