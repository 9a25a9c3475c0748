"""How the codes of a model's tensors are chosen: by which method, with which statistics, slice by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.calibration import ActivationStatistics
from bitwright.errors import UnknownNameError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.formats.tensor import HasFormat
from bitwright.kernels import encoders
from bitwright.quantizers import work
from bitwright.quantizers.feedback import ROUNDS, Hessians, encode_with_feedback, supports_feedback
from bitwright.quantizers.tensor import check_finite, encode_rows, takes_importance

METHODS = ("feedback", *encoders.METHODS)
EFFORT = 2
SLICE = 1 << 22  # values dequantized at a time: 16 MiB of float32
PLAIN = {0: np.float32, 1: np.float16, 30: np.uint16}  # GGUF types that encoders read as they are stored


@dataclass(frozen=True)
class Quantizer:
    """Chooses codes by a method, with activation statistics.

    method: "rtn", the codes that llama.cpp chooses; "search", the codes of least error in each block; "feedback", the
    codes that change the layer's outputs least, where each column compensates for the errors in earlier columns; None,
    for each tensor the last of these that its statistics and format allow. effort: 0 to 3, how long feedback keeps
    reducing the error. threads: None for all cores; the bytes do not depend on it.

    Raises UnknownNameError for another method, UsageError for another effort or for feedback without second moments.
    """

    method: str | None = None
    effort: int = EFFORT
    statistics: ActivationStatistics | None = None
    threads: int | None = None
    hessians: Hessians | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in METHODS:
            raise UnknownNameError("method", self.method, METHODS)
        if not 0 <= self.effort < len(ROUNDS):
            raise UsageError(f"expected an effort of 0 to {len(ROUNDS) - 1}, got {self.effort}")
        if self.method == "feedback" and not (self.statistics and self.statistics.moments):
            raise UsageError("feedback needs statistics with second moments: bitwright calibrate MODEL --hessian")
        if self.statistics is not None:
            object.__setattr__(self, "hessians", Hessians(self.statistics, self.threads))

    def method_of(self, tensor: HasFormat, format: Format) -> str:
        """The method for a tensor; "" if it already has the format."""
        if tensor.format is format:
            return ""
        known = self.statistics is not None and self.statistics.moment(tensor.name) is not None
        if self.method in (None, "feedback") and known and supports_feedback(format, tensor.shape[-1]):
            return "feedback"
        return "rtn" if self.method == "rtn" else "search"

    def work(self, tensor: HasFormat, format: Format) -> float:
        """About how many seconds a tensor takes on one core (`quantizers.work`)."""
        method, weights = self.method_of(tensor, format), math.prod(tensor.shape)
        if not method:
            return work.COPY * weights
        rounds = ROUNDS[self.effort] if method == "feedback" else None
        return work.seconds(weights, tensor.shape[-1], format, rounds)

    def quantize(self, tensor: QuantizedTensor, format: Format, only: int | None = None) -> QuantizedTensor:
        """The tensor in `format`; the same tensor, checked, if it already has that format. Errors: see `encode`."""
        return self.encode(tensor, format, only)[0]

    def encode(
        self, tensor: QuantizedTensor, format: Format, only: int | None = None
    ) -> tuple[QuantizedTensor, float | None]:
        """The tensor in `format`, and the objective that method feedback reached; None by another method. only: the
        expert of which the tensor holds rows; None: it holds all rows of all.

        Raises BitwrightError naming the tensor and the place for a value that is not finite or too large.
        """
        stored = tensor.data.reshape(-1, tensor.data.shape[-1])
        if tensor.format is format:
            for start, values in self._slices(tensor, stored, len(stored), max(1, SLICE // tensor.shape[-1])):
                check_finite(values, tensor, start)
            return tensor, None
        method, columns = self.method_of(tensor, format), tensor.shape[-1]
        out = np.empty((len(stored), format.row_bytes(columns)), np.uint8)
        hessians, importance, objective = self.hessians if method == "feedback" else None, None, None
        matrices = len(hessians.damped(tensor.name)) if hessians and only is None else 1
        if self.statistics and not hessians and takes_importance(format, method):
            importance = self.statistics.importance(tensor.name)
            matrices = 1 if importance is None or only is not None else len(importance)
        rows = len(stored) // matrices
        for start, values in self._slices(tensor, stored, rows, rows if hessians else SLICE // columns):
            matrix = start // rows if only is None else only
            label = f"{tensor.name}, rows from {start}" if start else tensor.name
            if hessians:
                moments = hessians.damped(tensor.name)[matrix], hessians.factor(tensor.name, matrix)
                part, left = encode_with_feedback(values, format, *moments, self.effort, label, self.threads)
                objective = (objective or 0) + left
            else:
                weights = None if importance is None else importance[matrix]
                part = encode_rows(values, format, weights, label, self.threads, method)
            out[start : start + len(part)] = part
        return QuantizedTensor(tensor.name, tensor.shape, format, out), objective

    def _slices(
        self, tensor: QuantizedTensor, stored: NDArray[np.uint8], rows: int, most: int
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """The first row and the values of slices of up to `most` rows, none of which spans two matrices of `rows`."""
        plain = PLAIN.get(tensor.format.ggml) if tensor.format.ggml is not None else None
        step = rows if plain else max(1, min(rows, most))
        for matrix in range(0, len(stored), rows):
            for start in range(matrix, matrix + rows, step):
                part = stored[start : min(start + step, matrix + rows)]
                yield start, part.view(plain) if plain else kernels.dequantize(tensor.format, part, self.threads)
