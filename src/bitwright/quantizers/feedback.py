"""Error feedback on one tensor: the damped Hessian, and slices of rows handed to the native core."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.formats import Format
from bitwright.quantizers.tensor import as_float32, tensor_in_errors

DAMPING = 0.01  # share of the mean of the diagonal that is added to the diagonal, at least
ROUNDS = (0, 1, 2, 6)  # of coordinate descent, by effort
SLICE = 1 << 24  # values in float32 at a time


def supports_feedback(format: Format, columns: int) -> bool:
    """Whether rows of `columns` columns can be encoded to `format` with error feedback."""
    unit = kernels.feedback_formats().get(format.ggml) if format.ggml is not None else None
    return unit is not None and columns % unit == 0


def damped(hessian: NDArray[Any], tokens: float = math.inf) -> NDArray[np.float32]:
    """The Hessian (columns, columns) with an equal amount added to its diagonal.

    Without it, errors in columns and directions that no calibration input used would cost nothing, and would show up on
    other text. The fewer `tokens` per column the Hessian was gathered over, the larger the amount. A Hessian of zeros
    (a rare expert) becomes the identity.
    """
    result = np.array(hessian, np.float32)
    mean, share = float(result.diagonal().mean(dtype=np.float64)), max(DAMPING, len(result) / (4 * max(tokens, 1)))
    result[np.diag_indices(len(result))] += np.float32(share * mean if mean > 0 else 1)
    return result


def encode_with_feedback(
    values: NDArray[Any],
    format: Format,
    hessian: NDArray[Any],
    effort: int = 2,
    tokens: float = math.inf,
    name: str = "",
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Packed bytes (rows, row bytes) of values (rows, columns), chosen for the least change in the layer's outputs.

    values: float32, float16, or bfloat16 bits as uint16. hessian: second moments (columns, columns) of the inputs.
    effort: 0 to 3, for more coordinate descent. tokens: the number that the Hessian is a mean over. Raises
    BitwrightError naming the tensor for a value that is not finite or too large.
    """
    weights = damped(hessian, tokens)
    step = max(1, SLICE // values.shape[1])
    out = np.empty((len(values), format.row_bytes(values.shape[1])), np.uint8)
    with tensor_in_errors(name):
        for start in range(0, len(values), step):
            part = as_float32(values[start : start + step])
            out[start : start + step], _ = kernels.feedback(format, part, weights, ROUNDS[effort], threads)
    return out
