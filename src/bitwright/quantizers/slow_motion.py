"""Error feedback on one row, column by column, with everything it does written down.

The native encoder (`native/quantize/feedback.inl`) does the same on whole layers and chooses the scales too; here the
numbers a weight may become are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """targets (n + 1, n): what each column should become, before column j is rounded and after all were. decoded (n,):
    what it becomes. losses (n,): what each column adds to e' H e, the errors e being weights - decoded."""

    targets: Array
    decoded: Array
    losses: Array


def factors(hessian: NDArray[Any]) -> tuple[Array, Array]:
    """F (n, n), lower triangular with ones on its diagonal, and D (n,), such that the Hessian is F' D F."""
    flipped = np.linalg.cholesky(np.asarray(hessian, np.float64)[::-1, ::-1])[::-1, ::-1]
    root = np.diag(flipped)
    return (flipped / root).T, root**2


def record(weights: NDArray[Any], hessian: NDArray[Any], grid: NDArray[Any], feedback: bool = True) -> Recording:
    """Round weights (n,) one after the other to the nearest of grid (n, numbers). With feedback each column is first
    moved to where it makes up best for the errors before it: by the sum over k < j of F_jk e_k."""
    f, d = factors(hessian)
    own, numbers = np.asarray(weights, np.float64), np.asarray(grid, np.float64)
    targets, decoded = np.tile(own, (len(own) + 1, 1)), np.empty_like(own)
    losses = np.empty_like(own)
    moved = own.copy()  # the targets with feedback, whether it is used or not: losses are counted from them
    for j in range(len(own)):
        wanted = moved[j] if feedback else own[j]
        decoded[j] = numbers[j, np.abs(numbers[j] - wanted).argmin()]
        losses[j] = d[j] * (moved[j] - decoded[j]) ** 2
        moved[j + 1 :] += f[j + 1 :, j] * (own[j] - decoded[j])
        if feedback:
            targets[j + 1 :, j + 1 :] = moved[j + 1 :]
    return Recording(targets, decoded, losses)
