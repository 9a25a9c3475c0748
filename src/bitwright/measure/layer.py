"""One matrix of a model and its real inputs: what each way to choose codes costs the layer's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.errors import UsageError
from bitwright.formats import Format
from bitwright.kernels.products import decoded
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.kernels.tape import Tape
from bitwright.measure import standard_text
from bitwright.quantizers.feedback import damped, supports_feedback
from bitwright.quantizers.tensor import encode_rows, takes_importance

if TYPE_CHECKING:
    from bitwright.model.model import Model

Array = NDArray[np.float32]

METHODS = ("rtn", "search", "importance", "feedback")
WINDOW = 256  # tokens that see each other
READ, HELD_OUT = 1024, 256  # tokens to gather statistics on, and to measure on
DEPTH = 1 / 8  # of the model at which the matrix lies: earlier ones are reached sooner


@dataclass(frozen=True)
class Layer:
    """weights (rows, columns) of the matrix `name`, and its inputs (tokens, columns) on two texts: one that statistics
    may be gathered on, one that they may not."""

    name: str
    weights: Array
    read: Array
    held_out: Array
    threads: int | None = None

    @cached_property
    def hessian(self) -> Array:
        """The damped second moments (columns, columns) of the inputs that were read."""
        return damped(self.read.T @ self.read / np.float32(len(self.read)), len(self.read), copy=False)

    @cached_property
    def importance(self) -> Array:
        """The mean squared input (columns,) of each column."""
        mean: Array = np.square(self.read).mean(axis=0)
        return mean

    def of_row(self, row: int) -> Layer:
        """The matrix of one row, with the same inputs."""
        return replace(self, weights=self.weights[row : row + 1])

    def encoded(self, format: Format) -> dict[str, Array]:
        """The decoded weights by each method that the format allows: round to nearest, search for the least squared
        error, the same weighted by importance, error feedback."""
        found = {"rtn": encode_rows(self.weights, format, threads=self.threads, method="rtn"),
                 "search": encode_rows(self.weights, format, threads=self.threads)}  # fmt: skip
        if takes_importance(format):
            found["importance"] = encode_rows(self.weights, format, self.importance, threads=self.threads)
        if supports_feedback(format, self.weights.shape[1]):
            found["feedback"] = kernels.feedback(format, self.weights, self.hessian, threads=self.threads)[0]
        return {method: kernels.dequantize(format, data, self.threads) for method, data in found.items()}

    def errors(self, decoded: Mapping[str, Array]) -> dict[str, dict[str, float]]:
        """By method the squared error of the weights, of the outputs on the text that was read, and of those on the
        other, each as a share of the sum of squares."""
        over = {"weights": None, "read": self.read, "held_out": self.held_out}
        found = {}
        for method, weights in decoded.items():
            error = weights - self.weights
            found[method] = {name: _share(error, self.weights, x) for name, x in over.items()}
        return found


def _share(error: Array, weights: Array, inputs: Array | None) -> float:
    lost, whole = (float(np.square(w if inputs is None else inputs @ w.T).sum(dtype=np.float64))
                   for w in (error, weights))  # fmt: skip
    return lost / whole if whole else 0.0


def early_layer(model: Model, threads: int | None = None) -> Layer:
    """The first matrix of an early layer, with its inputs on two parts of the standard text."""
    name = early_matrix(model)
    ids = np.array(model.tokenizer.encode(standard_text.read()), np.int32)
    width = min(WINDOW, model.config.context)
    read, held_out = (max(1, count // width) * width for count in (READ, HELD_OUT))
    if len(ids) < read + held_out:
        raise UsageError(f"{model.path}: expected {read + held_out} tokens of the standard text, got {len(ids)}")
    tape = Tape.over(model.step, model.tensors, Sharing(threads))
    with single_blas():
        inputs = [_inputs(tape, name, part.reshape(-1, width)) for part in (ids[:read], ids[-held_out:])]
    return Layer(name, decoded(model.tensors[name], threads=threads), inputs[0], inputs[1], threads)


def early_matrix(model: Model) -> str:
    """The name of that matrix."""
    products = [op.weights[0] for op in model.step.ops if op.kind == "linear"]
    layers = len(model.config.layers)
    return products[len(products) // layers * int(layers * DEPTH)]


def _inputs(tape: Tape, name: str, windows: NDArray[np.int32]) -> Array:
    found: list[Array] = []

    def visit(op: Any, inputs: list[Array], gradient: Array | None) -> None:
        if op.kind == "linear" and op.weights[0] == name:
            found.append(inputs[0])

    for window in windows:
        tape.observe(window, visit, until=name)
    return np.concatenate(found)
