"""Error feedback on one tensor: damped Hessians, and slices of rows handed to the native core."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.calibration import ActivationStatistics
from bitwright.formats import Format
from bitwright.quantizers.tensor import as_float32, tensor_in_errors

DAMPING = 0.01  # share of the mean of the diagonal that is added to the diagonal, at least
ROUNDS = (0, 1, 2, 6)  # of coordinate descent, by effort
SLICE = 1 << 24  # values in float32 at a time


def supports_feedback(format: Format, columns: int) -> bool:
    """Whether rows of `columns` columns can be encoded to `format` with error feedback."""
    unit = kernels.feedback_formats().get(format.ggml) if format.ggml is not None else None
    return unit is not None and columns % unit == 0


def damped(hessian: NDArray[Any], tokens: float = math.inf, copy: bool = True) -> NDArray[np.float32]:
    """The Hessian (columns, columns), or a copy, with an equal amount added to its diagonal.

    Without it, errors in columns and directions that no calibration input used would cost nothing, and would show up on
    other text. The fewer `tokens` per column the Hessian was gathered over, the larger the amount. A Hessian of zeros
    becomes the identity.
    """
    result = np.array(hessian, np.float32) if copy else np.asarray(hessian, np.float32)
    mean, share = float(result.diagonal().mean(dtype=np.float64)), max(DAMPING, len(result) / (4 * max(tokens, 1)))
    result[np.diag_indices(len(result))] += np.float32(share * mean if mean > 0 else 1)
    return result


class Hessians:
    """The damped Hessians of a model's weights, each read when it is first needed.

    The last one and its factor are kept: weights that read the same input share them, and all formats of a weight do.
    Threads may ask at once.
    """

    def __init__(self, statistics: ActivationStatistics, threads: int | None = None) -> None:
        self._statistics, self._threads = statistics, threads
        self._lock = threading.RLock()
        self._of: tuple[object, bytes] | None = None  # what `_damped` was made from
        self._damped: list[NDArray[np.float32]] = []
        self._factor: tuple[int, NDArray[np.float32]] | None = None

    def damped(self, name: str) -> list[NDArray[np.float32]]:
        """The damped Hessian (columns, columns) of each matrix of a weight; none if none were gathered."""
        moment, tokens = self._statistics.moment(name), self._statistics.tokens(name)
        key = moment, tokens.tobytes()
        with self._lock:
            if key != self._of:
                self._of, self._factor, self._damped = None, None, []  # before the next one takes its memory
                pairs = [] if moment is None else zip(_filled(moment.matrix()), tokens, strict=True)
                self._damped = [damped(hessian, float(count), copy=False) for hessian, count in pairs]
                self._of = key
            return self._damped

    def together(self, names: Iterable[str]) -> list[str]:
        """The names in their order, but weights that share their second moments one after the other."""
        first: dict[object, int] = {}
        places = {}
        for index, name in enumerate(names):
            moment = self._statistics.moment(name)
            places[name] = first.setdefault(name if moment is None else moment.weights, index)
        return sorted(places, key=places.__getitem__)

    def factor(self, name: str, matrix: int) -> NDArray[np.float32]:
        """The factor of the damped Hessian of one matrix, for `kernels.feedback`."""
        with self._lock:
            hessian = self.damped(name)[matrix]
            if self._factor is None or self._factor[0] != matrix:
                self._factor = None
                self._factor = matrix, kernels.factored(hessian, self._threads)
            return self._factor[1]


def _filled(hessians: NDArray[np.float32]) -> NDArray[np.float32]:
    """Hessians (matrices, columns, columns) in which that of an expert that no token reached is the others' mean."""
    reached = np.array([hessian.any() for hessian in hessians])
    if not reached.all():
        hessians[~reached] = hessians[reached].mean(axis=0) if reached.any() else 0
    return hessians


def encode_with_feedback(
    values: NDArray[Any],
    format: Format,
    hessian: NDArray[np.float32],
    factor: NDArray[np.float32],
    effort: int = 2,
    name: str = "",
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], float]:
    """Packed bytes (rows, row bytes) of values (rows, columns), chosen for the least change in the layer's outputs, and
    the objective tr(E H E') that they reach.

    values: float32, float16, or bfloat16 bits as uint16. hessian, factor: those of `Hessians`. effort: 0 to 3, for more
    coordinate descent. Raises BitwrightError naming the tensor for a value that is not finite or too large.
    """
    step, objective = max(1, SLICE // values.shape[1]), 0.0
    out = np.empty((len(values), format.row_bytes(values.shape[1])), np.uint8)
    with tensor_in_errors(name):
        for start in range(0, len(values), step):
            part = as_float32(values[start : start + step])
            found = kernels.feedback(format, part, hessian, ROUNDS[effort], threads, factor)
            out[start : start + step] = found[0]
            objective += found[1][-1]
    return out, objective
