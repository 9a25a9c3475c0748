"""Sums of a tape's inputs and gradients, for weights that read the same input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import Weighting
from bitwright.calibration.moments import pack, unpack
from bitwright.kernels.ops import Op, Step
from bitwright.kernels.sharing import Sharing

STRIP = 192  # rows of second moments at a time, up to the diagonal

Array = NDArray[Any]


@dataclass(frozen=True)
class Group:
    """Weights that read one buffer: its id, their names and outputs. An embedding's buffer is its output."""

    buffer: int
    weights: dict[str, int]
    columns: int
    weighting: Weighting
    part: int  # of the tape that reads it


class Sums:
    """The sums of a group: `moment` (columns, columns) of f x x', the lower triangle; `total` of f; `squares`
    (columns,) of x²; for each weight the squared gradients at its outputs; and `tokens`."""

    def __init__(self, group: Group, sharing: Sharing) -> None:
        self.sharing = sharing
        self.moment = np.zeros((group.columns, group.columns), np.float32)
        self.squares = np.zeros(group.columns)
        self.gradients = {name: np.zeros(outputs) for name, outputs in group.weights.items()}
        self.total, self.tokens = 0.0, 0

    def add(self, x: Array, f: Array | None = None) -> None:
        """Add x (tokens, columns) with weights f (tokens,)."""
        y = x if f is None else x * np.sqrt(f)[:, None]

        def strip(start: int) -> None:
            rows, columns = slice(start, start + STRIP), slice(0, start + STRIP)
            self.moment[rows, columns] += y[:, rows].T @ y[:, columns]

        self.sharing.each(strip, reversed(range(0, y.shape[1], STRIP)))  # the longest first
        self.squares += np.einsum("ij,ij->j", x, x)
        self.total += len(x) if f is None else float(f.sum(dtype=np.float64))
        self.tokens += len(x)

    def state(self) -> dict[str, Array]:
        """The sums as named arrays, for saving; `restore` takes them back."""
        squares: dict[str, Array] = {f"gradients.{i}": own for i, own in enumerate(self.gradients.values())}
        numbers = np.array([self.total, self.tokens])
        return {"moment": pack(self.moment), "squares": self.squares, "numbers": numbers, **squares}

    def restore(self, state: Callable[[str], Array]) -> None:
        """Continue from saved sums; `state(name)` reads one array."""
        self.moment = unpack(state("moment"), len(self.moment))
        self.squares = state("squares")
        self.gradients = {name: state(f"gradients.{i}") for i, name in enumerate(self.gradients)}
        total, tokens = state("numbers")
        self.total, self.tokens = float(total), int(tokens)


class Collector:
    """Adds up what the tape yields for some groups."""

    def __init__(self, step: Step, groups: Sequence[Group], sharing: Sharing) -> None:
        self.sums = {group.buffer: Sums(group, sharing) for group in groups}
        self.first = {op.inputs[0].id: op.output.id for op in reversed(step.ops) if op.kind == "linear"}
        self.weighing: dict[int, Array] = {}  # f so far, by the buffer of a group that is being visited

    def visit(self, op: Op, inputs: list[Array], gradient: Array | None) -> None:
        """For the tape. Of products that read one buffer, the first in the step is visited last: f is then complete."""
        if op.kind == "embed" and op.output.id in self.sums and gradient is not None:
            self.sums[op.output.id].add(gradient * op.attributes["scale"])
            self.sums[op.output.id].gradients[op.weights[0]] += np.einsum("ij,ij->j", gradient, gradient)
        if op.kind != "linear" or op.inputs[0].id not in self.sums:
            return
        buffer = op.inputs[0].id
        own = self.sums[buffer]
        if gradient is not None:
            squares = gradient * gradient
            own.gradients[op.weights[0]] += squares.sum(axis=0)
            self.weighing[buffer] = self.weighing.get(buffer, 0) + squares.sum(axis=1)
        if op.output.id == self.first[buffer]:
            own.add(inputs[0], self.weighing.pop(buffer, None))
