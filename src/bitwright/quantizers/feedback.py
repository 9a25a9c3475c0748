"""Error feedback on one tensor: the Hessian made fit for it, and slices of rows handed to the native core."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.formats import Format
from bitwright.quantizers.tensor import as_float32, naming

DAMPING = 0.01  # of the mean of the diagonal, added to all of it, at least
ROUNDS = (0, 1, 2, 6)  # of coordinate descent, by effort
SLICE = 1 << 24  # values in float32 at a time


def feeds_back(format: Format, columns: int) -> bool:
    """Whether rows of so many columns can be encoded to `format` with error feedback."""
    unit = kernels.feedback_formats().get(format.ggml) if format.ggml is not None else None
    return unit is not None and columns % unit == 0


def damped(hessian: NDArray[Any], tokens: float = math.inf) -> NDArray[np.float32]:
    """The Hessian (columns, columns) with something on its whole diagonal: columns that no input used, and directions
    that none took, cost something too, so errors are not hidden where other text would find them. The fewer `tokens` it
    was gathered over for its columns, the more, until all columns are alike, as they are where there was no input (a
    rare expert)."""
    own = np.array(hessian, np.float32)
    mean, share = float(own.diagonal().mean(dtype=np.float64)), max(DAMPING, len(own) / (4 * max(tokens, 1)))
    own[np.diag_indices(len(own))] += np.float32(share * mean if mean > 0 else 1)
    return own


def encode_with_feedback(
    values: NDArray[Any],
    format: Format,
    hessian: NDArray[Any],
    effort: int = 2,
    tokens: float = math.inf,
    name: str = "",
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Packed bytes (rows, row bytes) of values (rows, columns), chosen to change the products with such inputs least.

    values: float32, float16, or bfloat16 bits as uint16. hessian: second moments (columns, columns) of the inputs.
    effort: 0 to 3, more coordinate descent. tokens: that the Hessian is a mean over. Raises BitwrightError naming the
    tensor for a value that is not finite or too large.
    """
    own = damped(hessian, tokens)
    step = max(1, SLICE // values.shape[1])
    out = np.empty((len(values), format.row_bytes(values.shape[1])), np.uint8)
    with naming(name):
        for start in range(0, len(values), step):
            part = as_float32(values[start : start + step])
            out[start : start + step], _ = kernels.feedback(format, part, own, ROUNDS[effort], threads)
    return out
