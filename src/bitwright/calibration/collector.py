"""Sums of a tape's inputs and gradients, for weights that read the same input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import Weighting
from bitwright.calibration.moments import size
from bitwright.kernels.ops import Experts, Op, Step
from bitwright.kernels.sharing import Sharing

BLOCK = 1 << 18  # values squared at a time
STRIP = 192  # rows of second moments that are added up together, up to the diagonal

Array = NDArray[Any]
# The id of a buffer; of an expert also the id of the choices, and its number; of an embedding -1 and its output's id.
Source = tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Weights that read one source: their names and outputs."""

    source: Source
    weights: dict[str, int]
    columns: int
    weighting: Weighting
    part: int  # of the tape that reads it

    @property
    def nbytes(self) -> int:
        """Bytes of the sums of second moments."""
        return sum(4 * rows * columns for rows, columns in _strips(self.columns))


class Sums:
    """The sums of a group: `strips` hold the lower triangle (columns, columns) of f x x', some rows each, as far as the
    diagonal's columns; `total` of f; `squares` (columns,) of x²; for each weight the squared gradients at its outputs;
    and `tokens`."""

    def __init__(self, group: Group, sharing: Sharing) -> None:
        self.sharing = sharing
        self.strips = [np.zeros(shape, np.float32) for shape in _strips(group.columns)]
        self.squares = np.zeros(group.columns)
        self.gradients = {name: np.zeros(outputs) for name, outputs in group.weights.items()}
        self.total, self.tokens = 0.0, 0

    def add(self, x: Array, f: Array | None = None) -> None:
        """Add x (tokens, columns) with weights f (tokens,)."""
        y = x if f is None else x * np.sqrt(f)[:, None]

        def add(strip: Array) -> None:
            rows, columns = strip.shape
            strip += y[:, columns - rows : columns].T @ y[:, :columns]

        self.sharing.each(add, reversed(self.strips))  # the longest first
        self.squares += np.einsum("ij,ij->j", x, x)
        self.total += len(x) if f is None else float(f.sum(dtype=np.float64))
        self.tokens += len(x)

    def state(self) -> dict[str, Array]:
        """The sums as named arrays, for saving; `restore` takes them back."""
        squares: dict[str, Array] = {f"gradients.{i}": own for i, own in enumerate(self.gradients.values())}
        numbers = np.array([self.total, self.tokens])
        moment = np.concatenate([row[: i + 1] for i, row in self._rows()])
        return {"moment": moment, "squares": self.squares, "numbers": numbers, **squares}

    def restore(self, state: Callable[[str], Array]) -> None:
        """Continue from saved sums; `state(name)` reads one array."""
        moment = state("moment")
        for i, row in self._rows():
            row[: i + 1] = moment[size(i) : size(i + 1)]
        self.squares = state("squares")
        self.gradients = {name: state(f"gradients.{i}") for i, name in enumerate(self.gradients)}
        total, tokens = state("numbers")
        self.total, self.tokens = float(total), int(tokens)

    def finite(self) -> bool:
        """Whether the diagonal of the second moments is finite: if it is, so are they."""
        return all(np.isfinite(row[i]) for i, row in self._rows())

    def _rows(self) -> Iterator[tuple[int, Array]]:
        return enumerate(itertools.chain.from_iterable(self.strips))


def _strips(columns: int) -> list[tuple[int, int]]:
    """The shapes of the strips."""
    ends = [*range(STRIP, columns, STRIP), columns]
    return [(end - start, end) for start, end in itertools.pairwise([0, *ends])]


def embedding(op: Op) -> Source:
    """The source of an embedding. Products that read its output have another."""
    return -1, op.output.id


def sources(op: Op, shape: tuple[int, ...]) -> list[Source]:
    """What a product with a weight of this shape reads: one source, or one for each expert."""
    if isinstance(op, Experts):
        return [(*_buffers(op), expert) for expert in range(shape[0])]
    return [_buffers(op)]


class Collector:
    """Adds up what the tape yields for some groups."""

    def __init__(self, step: Step, groups: Sequence[Group], sharing: Sharing) -> None:
        self.sums = {group.source: Sums(group, sharing) for group in groups}
        self.columns = {group.source[:2]: group.columns for group in groups}
        self.first = {_buffers(op): op.output.id for op in reversed(step.ops) if op.multiplies}
        self.weighing: dict[Source, Array] = {}  # f so far, by the source of a group that is being visited

    def visit(self, op: Op, inputs: list[Array], gradient: Array | None) -> None:
        """For the tape. Of products that read one buffer, the first in the step is visited last: f is then complete."""
        if op.kind == "embed" and (source := embedding(op)) in self.sums and gradient is not None:
            own = self.sums[source]
            own.add(gradient * op.attributes["scale"])
            own.gradients[op.weights[0]] += np.einsum("ij,ij->j", gradient, gradient)
        if not op.multiplies or (buffers := _buffers(op)) not in self.columns:
            return
        if isinstance(op, Experts):
            x, choices = inputs
            back = None if gradient is None else op.slots(gradient, choices)
            for expert, slots, sent in op.sent(x, choices, self.columns[buffers]):
                self._add(op, (*buffers, expert), sent, None if back is None else back[slots])
        else:
            self._add(op, buffers, inputs[0], gradient)

    def _add(self, op: Op, source: Source, x: Array, gradient: Array | None) -> None:
        own = self.sums[source]
        if gradient is not None:
            by_output, by_token = squares(gradient, own.sharing)
            own.gradients[op.weights[0]] += by_output
            self.weighing[source] = self.weighing.get(source, 0) + by_token
        if op.output.id == self.first[source[:2]]:
            own.add(x, self.weighing.pop(source, None))


def _buffers(op: Op) -> Source:
    return tuple(buffer.id for buffer in op.inputs)


def squares(x: Array, sharing: Sharing) -> tuple[Array, Array]:
    """The squares of x (rows, columns), summed over the rows, and over the columns."""
    step = max(1, BLOCK // x.shape[1])

    def work(part: slice) -> tuple[Array, Array]:
        columns, rows = np.zeros(x.shape[1]), np.empty(part.stop - part.start, x.dtype)
        for start in range(part.start, part.stop, step):
            some = np.square(x[start : min(start + step, part.stop)])
            columns += some.sum(axis=0)
            rows[start - part.start :][: len(some)] = some.sum(axis=1)
        return columns, rows

    by_column, by_row = zip(*sharing.map(work, len(x)), strict=True)
    return np.sum(by_column, axis=0), np.concatenate(by_row)
