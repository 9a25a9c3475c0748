"""Second moments of every weight's inputs, each token weighed by how much its outputs matter (its Fisher information).

For each chunk: forward, a label drawn at every position from the model's own prediction, and the gradient of the
labels' log-likelihood backward. A token t counts for weights that read one input with f_t, the squared norm of the
gradient at their outputs: E[f x x'] is the Fisher information of a row but for the rows' differences. Fisher with
labels of the model's own, not the text's, is the curvature of the KL divergence from it (Kunstner et al.,
https://arxiv.org/abs/1905.12558). An embedding's rows are looked up, not multiplied: there the gradient's own second
moment weighs an error.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import calibration, kernels
from bitwright.calibration import Gathered, Moment, Provenance, Statistics, Weighting
from bitwright.calibration.moments import pack
from bitwright.engine.calibrate import Progress, Text, cut
from bitwright.engine.partial import Partial, Pass
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.io.checksum import sha256
from bitwright.kernels.gradients import Tape, missing
from bitwright.kernels.ops import Op, Step
from bitwright.kernels.sharing import Sharing, single_blas

if TYPE_CHECKING:
    from bitwright.engine.model import Model

BUDGET = 2 << 30  # bytes of second moments at a time; what does not fit is gathered in another pass
SAVE_SECONDS = 120.0
STRIP = 192  # rows of second moments at a time, up to the diagonal

Array = NDArray[Any]


@dataclass(frozen=True)
class Group:
    """Weights that read one buffer: its id, their names and outputs. An embedding's buffer is its output."""

    buffer: int
    weights: dict[str, int]
    columns: int
    weighting: Weighting
    part: int  # of the tape, where it is read


class Sums:
    """What is added up for a group: `moment` (columns, columns) of f x x', the lower triangle, `total` of f, `squares`
    (columns,) of x², of each weight the squared gradients at its outputs, and `tokens`."""

    def __init__(self, group: Group, sharing: Sharing) -> None:
        self.sharing = sharing
        self.moment = np.zeros((group.columns, group.columns), np.float32)
        self.squares = np.zeros(group.columns)
        self.gradients = {name: np.zeros(outputs) for name, outputs in group.weights.items()}
        self.total, self.tokens = 0.0, 0

    def add(self, x: Array, f: Array | None = None) -> None:
        """x (tokens, columns), f (tokens,)."""
        y = x if f is None else x * np.sqrt(f)[:, None]

        def strip(start: int) -> None:
            rows, columns = slice(start, start + STRIP), slice(0, start + STRIP)
            self.moment[rows, columns] += y[:, rows].T @ y[:, columns]

        self.sharing.each(strip, reversed(range(0, y.shape[1], STRIP)))  # the longest first
        self.squares += np.einsum("ij,ij->j", x, x)
        self.total += len(x) if f is None else float(f.sum(dtype=np.float64))
        self.tokens += len(x)

    def state(self) -> dict[str, Array]:
        squares: dict[str, Array] = {f"gradients.{i}": own for i, own in enumerate(self.gradients.values())}
        numbers = np.array([self.total, self.tokens])
        return {"moment": pack(self.moment), "squares": self.squares, "numbers": numbers, **squares}

    def restore(self, state: Callable[[str], Array]) -> None:
        self.moment = calibration.moments.unpack(state("moment"), len(self.moment))
        self.squares = state("squares")
        self.gradients = {name: state(f"gradients.{i}") for i, name in enumerate(self.gradients)}
        total, tokens = state("numbers")
        self.total, self.tokens = float(total), int(tokens)


class Collector:
    """Adds up what the tape shows of some groups."""

    def __init__(self, step: Step, groups: Sequence[Group], sharing: Sharing) -> None:
        self.sums = {group.buffer: Sums(group, sharing) for group in groups}
        self.first = {op.inputs[0].id: op.output.id for op in reversed(step.ops) if op.kind == "linear"}
        self.weighing: dict[int, Array] = {}  # f so far, by the buffer of a group that is being visited

    def visit(self, op: Op, inputs: list[Array], gradient: Array | None) -> None:
        """For the tape. Of products that read one buffer, the first in the step is visited last: then f is whole."""
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


def gather(
    model: Model,
    texts: Sequence[Text],
    output: str | Path,
    context: int = 512,
    chunks: int | None = None,
    fisher: bool = True,
    seed: int = 0,
    budget: int = BUDGET,
    progress: Progress | None = None,
) -> Statistics:
    """Importance and second moments of every weight, over texts cut as by `calibrate`, into `output`.

    `fisher` False counts every token alike, which needs no gradients. `seed` is that of the labels. What is done is
    kept in a folder beside the output every two minutes, and taken up again where a run of the same was interrupted.
    progress(done chunks, all, note) follows each chunk. Raises UnsupportedError where an op of the model has no
    gradient, UsageError where no text is as long as a chunk or the folder holds the beginning of something else.
    """
    if fisher and (lacking := missing(model.step)):
        raise UnsupportedError("the gradient of", ", ".join(lacking), ["plain second moments (fisher=False)"])
    if Path(output).suffix == ".dat":
        raise UsageError(f"{output}: a .dat holds importance alone; second moments need a .gguf")
    pieces = cut(model, texts, context, chunks)
    tape = Tape(model.step, partial(_weight, model), sharing=Sharing(model.threads))
    groups = _groups(model, tape, fisher)
    passes = _passes(groups, budget)
    ids = hashlib.sha256(np.ascontiguousarray(pieces, "<i4").tobytes()).hexdigest()
    key = f"{sha256(model.file.paths)} {ids} {context} {fisher} {seed} {[len(own) for own in passes]}"
    kept = Partial(Path(output), key)
    for index, own in enumerate(passes):
        note = f"pass {index + 1} of {len(passes)}" if len(passes) > 1 else ""
        report = partial(_report, progress, index * len(pieces), len(passes) * len(pieces), note)
        with single_blas():
            _pass(tape, pieces, own, kept.of(index), fisher, seed, report)
    names = tuple(name for name, _ in texts)
    provenance = Provenance(pieces.size, seed, ids)
    found = _statistics(passes, kept, Statistics({}, names, len(pieces), context, provenance=provenance))
    calibration.write(output, found)
    kept.remove()
    return calibration.read(output)


def _weight(model: Model, name: str, rows: Array | None) -> Array:
    tensor = model.weights[name]
    return kernels.dequantize(tensor.format, tensor.data if rows is None else tensor.data[rows], threads=1)


def _groups(model: Model, tape: Tape, fisher: bool) -> list[Group]:
    """In the order of the step; an embedding that is the head too has the head's."""
    multiplied = {op.weights[0] for op in model.step.ops if op.kind == "linear"}
    found: dict[int, Group] = {}
    for part, ops in enumerate(tape.parts):
        for op in ops:
            shape = model.weights[op.weights[0]].shape if op.weights else ()
            if op.kind == "embed" and fisher and op.weights[0] not in multiplied:
                found[op.output.id] = Group(op.output.id, {op.weights[0]: shape[1]}, shape[1], "gradient", part)
            elif op.kind == "linear":
                id = op.inputs[0].id
                group = found.setdefault(id, Group(id, {}, shape[1], "fisher" if fisher else "plain", part))
                group.weights[op.weights[0]] = shape[0]
    return list(found.values())


def _passes(groups: Sequence[Group], budget: int) -> list[list[Group]]:
    passes: list[list[Group]] = [[]]
    room = budget
    for group in groups:
        size = 4 * group.columns**2
        if size > room and passes[-1]:
            passes.append([])
            room = budget
        passes[-1].append(group)
        room -= size
    return passes


def _report(progress: Progress | None, before: int, total: int, note: str, done: int) -> None:
    if progress:
        progress(before + done, total, note)


def _pass(
    tape: Tape,
    pieces: Array,
    groups: Sequence[Group],
    kept: Pass,
    fisher: bool,
    seed: int,
    report: Callable[[int], None],
) -> None:
    """Adds up these groups over all chunks, from where it was left."""
    collector = Collector(tape.step, groups, tape.sharing)
    done = kept.restore([collector.sums[group.buffer] for group in groups])
    until, saved = min(group.part for group in groups), time.monotonic()
    for number in range(done, len(pieces)):
        if fisher:
            draws = np.random.default_rng([seed, number]).random(pieces.shape[1:], np.float32)
            tape.gradients(pieces[number], partial(_of_labels, draws), collector.visit, until)
        else:
            tape.observe(pieces[number], collector.visit)
        report(number + 1)
        last = number + 1 == len(pieces)
        if last or time.monotonic() - saved > SAVE_SECONDS:
            _check(groups, collector)
            kept.save([collector.sums[group.buffer] for group in groups], number + 1)
            saved = time.monotonic()


def _of_labels(draws: Array, rows: slice, logits: Array) -> Array:
    """The gradient (rows, vocabulary) of the log-probability of labels that `draws`, uniform in [0, 1), choose."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(p, axis=1)
    labels = (cumulative < (draws[rows] * cumulative[:, -1])[:, None]).sum(axis=1)
    np.negative(p, out=p)
    p[np.arange(len(p)), labels] += 1
    return p


def _check(groups: Sequence[Group], collector: Collector) -> None:
    for group in groups:
        if not np.isfinite(np.trace(collector.sums[group.buffer].moment)):
            names = ", ".join(group.weights)
            raise BitwrightError(f"{names}: expected finite inputs and gradients on these texts, got others")


def _statistics(passes: Sequence[Sequence[Group]], kept: Partial, base: Statistics) -> Statistics:
    """Means of what the passes added up; second moments stay in their files until they are asked for."""
    gathered: dict[str, Gathered] = {}
    sensitivities: dict[str, Array] = {}
    moments = []
    for index, own in enumerate(passes):
        done = kept.of(index)
        for place, group in enumerate(own):
            state = partial(done.read, place)
            total, tokens = state("numbers")
            packed = partial(_mean, state, total)
            moments.append(Moment(tuple(group.weights), group.weighting, 1, group.columns, packed, kept.folder))
            for i, name in enumerate(group.weights):
                if group.weighting != "gradient":
                    gathered[name] = Gathered(state("squares")[None], np.array([tokens], np.int64))
                if group.weighting != "plain":
                    sensitivities[name] = (state(f"gradients.{i}")[None] / tokens).astype(np.float32)
    return Statistics(
        gathered, base.texts, base.chunks, base.chunk_tokens, tuple(moments), sensitivities, base.provenance
    )


def _mean(state: Callable[[str], Array], total: float) -> NDArray[np.float32]:
    """(1, lower triangle); zeros where no token counts."""
    return (state("moment")[None] / (total or 1)).astype(np.float32, copy=False)
