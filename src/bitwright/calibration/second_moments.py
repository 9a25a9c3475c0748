"""Second moments of every weight's inputs, with each token weighted by its Fisher information.

For each chunk: forward, a label drawn at every position from the model's own prediction, and backward with the gradient
of the labels' log-likelihood. For weights that read the same input, token t counts with f_t, the squared norm of the
gradient at their outputs: E[f x x'] is the Fisher information of a row, ignoring differences between rows. With labels
from the model instead of the text, the Fisher information is the curvature of the KL divergence from the model
(Kunstner et al., https://arxiv.org/abs/1905.12558). An embedding's rows are looked up, not multiplied: there the second
moment of the gradient itself weighs an error.

Second moments that do not fit in memory together are gathered in passes, from the last parts of the model down. The
first pass reads the texts. The others begin with what crossed the borders of their parts, and so run no other parts.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import calibration
from bitwright.calibration import ActivationStatistics, Provenance, SecondMoment, SquareSums
from bitwright.calibration.collector import Collector, Group, Source, embedding, sources
from bitwright.calibration.labels import sampled
from bitwright.calibration.partial import SAVE_SECONDS, Border, Partial, Pass
from bitwright.calibration.texts import Text, cut, digest
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.kernels.tape import Tape, missing
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.model.model import Model

BUDGET = 3 << 28  # bytes of second moments at a time; the rest is gathered in further passes
KEPT = 3 << 28  # bytes of values kept between forward and backward

Array = NDArray[Any]
Borders = dict[int, Border]  # by the part above


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
    threads: int | None = None,
) -> ActivationStatistics:
    """Importance and second moments of every weight, over texts cut as by `calibrate`, into `output`.

    `fisher` False counts every token alike, which needs no gradients. `seed` is that of the labels. Progress is saved
    in a folder next to the output every two minutes; an interrupted run is resumed by the same call. progress(done,
    chunks, note) is called after each. Raises UnsupportedError if an op of the model has no gradient, UsageError if
    no text is as long as a chunk or the folder belongs to another run.
    """
    if fisher and (lacking := missing(model.step)):
        raise UnsupportedError("the gradient of", ", ".join(lacking), ["plain second moments (fisher=False)"])
    if Path(output).suffix == ".dat":
        raise UsageError(f"{output}: a .dat holds only importance; second moments need a .gguf")
    pieces = cut(model, texts, context, chunks)
    tape = _tape(model, threads)
    passes = _passes(_groups(model, tape, fisher), len(tape.parts), budget)
    ids = digest(pieces)
    key = f"{model.sha256()} {ids} {context} {fisher} {seed} {[len(own) for _, own in passes]}"
    kept = Partial(Path(output), key)
    borders = _borders(tape, passes, kept.folder, context)
    for index, (parts, own) in enumerate(passes):
        note = f"pass {index + 1} of {len(passes)}" if len(passes) > 1 else ""
        report = partial(_report, progress, index * len(pieces), len(passes) * len(pieces), note)
        with single_blas():
            _pass(tape, pieces, parts, own, borders, kept.of(index), fisher, seed, report)
    names = tuple(name for name, _ in texts)
    provenance = Provenance(pieces.size, seed, ids)
    found = _statistics(passes, kept, ActivationStatistics({}, names, len(pieces), context, provenance=provenance))
    calibration.write(output, found)
    kept.remove()
    return calibration.read(output)


def seconds_for(model: Model, pieces: NDArray[np.int32], fisher: bool = True, threads: int | None = None) -> float:
    """How long `gather` takes for these chunks (chunks, tokens), in all passes."""
    tape = _tape(model, threads)
    passes = _passes(_groups(model, tape, fisher), len(tape.parts), BUDGET)
    with tempfile.TemporaryDirectory() as folder, single_blas():
        borders, started = _borders(tape, passes, Path(folder), pieces.shape[1]), time.monotonic()
        for parts, own in passes:
            collector = Collector(tape.step, own, tape.sharing)
            for number, piece in enumerate(pieces):
                _add(tape, piece, number, parts, collector, borders, fisher, 0)
        return time.monotonic() - started


def _tape(model: Model, threads: int | None) -> Tape:
    return Tape.over(model.step, model.tensors, Sharing(threads), KEPT)


def _groups(model: Model, tape: Tape, fisher: bool) -> list[Group]:
    """Groups in the order of the step; an embedding that is also the head is placed as the head."""
    multiplied = {op.weights[0] for op in model.step.ops if op.multiplies}
    found: dict[Source, Group] = {}
    for part, ops in enumerate(tape.parts):
        for op in ops:
            shape = model.tensors[op.weights[0]].shape if op.weights else ()
            if op.kind == "embed" and fisher and op.weights[0] not in multiplied:
                own = embedding(op)
                found[own] = Group(own, {op.weights[0]: shape[1]}, shape[1], "gradient", part)
            elif op.multiplies:
                *_, rows, columns = shape
                for source in sources(op, shape):
                    made = Group(source, {}, columns, "fisher" if fisher else "plain", part)
                    found.setdefault(source, made).weights[op.weights[0]] = rows
    return list(found.values())


def _passes(groups: Sequence[Group], parts: int, budget: int) -> list[tuple[range, list[Group]]]:
    """The parts of each pass, as many as fit the budget and at least one, and their groups."""
    sizes = [sum(group.nbytes for group in groups if group.part == part) for part in range(parts)]
    ends, room = [parts], budget
    for part in reversed(range(parts)):
        if sizes[part] and sizes[part] > room and part + 1 < ends[-1]:
            ends.append(part + 1)
            room = budget
        room -= sizes[part]
    found = [range(low, high) for high, low in itertools.pairwise([*ends, 0])]
    return [(own, [group for group in groups if group.part in own]) for own in found]


def _borders(tape: Tape, passes: Sequence[tuple[range, list[Group]]], folder: Path, tokens: int) -> Borders:
    return {parts.start: Border(folder, parts.start, (tokens, tape.width(parts.start))) for parts, _ in passes[:-1]}


def _report(progress: Progress | None, before: int, total: int, note: str, done: int) -> None:
    if progress:
        progress(before + done, total, note)


def _pass(
    tape: Tape,
    pieces: Array,
    parts: range,
    groups: Sequence[Group],
    borders: Borders,
    kept: Pass,
    fisher: bool,
    seed: int,
    report: Callable[[int], None],
) -> None:
    """Add up these groups over all chunks, from where an earlier run stopped."""
    collector = Collector(tape.step, groups, tape.sharing)
    done = kept.restore([collector.sums[group.source] for group in groups])
    saved = time.monotonic()
    for number in range(done, len(pieces)):
        _add(tape, pieces[number], number, parts, collector, borders, fisher, seed)
        report(number + 1)
        last = number + 1 == len(pieces)
        if last or time.monotonic() - saved > SAVE_SECONDS:
            _check(groups, collector)
            kept.save([collector.sums[group.source] for group in groups], number + 1)
            saved = time.monotonic()


def _add(
    tape: Tape,
    piece: Array,
    number: int,
    parts: range,
    collector: Collector,
    borders: Borders,
    fisher: bool,
    seed: int,
) -> None:
    """Add chunk `number` to the sums of some parts; the last ones come first, and leave the other parts' inputs."""
    first = parts.stop == len(tape.parts)
    flow = borders[parts.start].read("flow", number) if parts.start and not first else None
    gradient = np.empty(0, np.float32)
    if first and fisher:
        gradient = tape.gradients(piece, sampled(seed, number, len(piece)), collector.visit, parts.start)
    elif first:
        tape.observe(piece, collector.visit)
    elif fisher:
        gradient = tape.between(piece, parts, flow, borders[parts.stop].read("gradient", number), collector.visit)
    else:
        tape.observe(piece, collector.visit, first=parts.start, flow=flow)
    for start, border in borders.items():
        if first:
            border.write("flow", number, tape.flow(start))
        if start == parts.start and fisher:
            border.write("gradient", number, gradient)


def _check(groups: Sequence[Group], collector: Collector) -> None:
    for group in groups:
        if not collector.sums[group.source].finite():
            names = ", ".join(group.weights)
            raise BitwrightError(f"{names}: expected finite inputs and gradients on these texts, got others")


def _statistics(
    passes: Sequence[tuple[range, list[Group]]], kept: Partial, base: ActivationStatistics
) -> ActivationStatistics:
    """Means of the passes' sums, those of a layer's experts together; second moments stay in their files until used."""
    gathered: dict[str, SquareSums] = {}
    sensitivities: dict[str, Array] = {}
    moments = []
    for index, (_, own) in reversed([*enumerate(passes)]):
        done = kept.of(index)
        for _, together in itertools.groupby(enumerate(own), lambda pair: pair[1].source[:2]):
            places, (group, *_) = zip(*together, strict=True)
            state = partial(_stacked, done, places)
            totals, tokens = state("numbers").T
            packed = partial(_means, state, totals)
            weights, columns = tuple(group.weights), group.columns
            moments.append(SecondMoment(weights, group.weighting, len(places), columns, packed, kept.folder))
            for i, name in enumerate(weights):
                if group.weighting != "gradient":
                    gathered[name] = SquareSums(state("squares"), tokens.astype(np.int64))
                if group.weighting != "plain":
                    means = state(f"gradients.{i}") / np.maximum(tokens, 1)[:, None]
                    sensitivities[name] = means.astype(np.float32)
    return ActivationStatistics(
        gathered, base.texts, base.chunks, base.chunk_tokens, tuple(moments), sensitivities, base.provenance
    )


def _stacked(done: Pass, places: Sequence[int], name: str) -> Array:
    """An array of the sums at these places, stacked."""
    return np.stack([done.read(place, name) for place in places])


def _means(state: Callable[[str], Array], totals: Array) -> NDArray[np.float32]:
    """Means (matrices, lower triangle); zeros where no token counts."""
    sums = state("moment")
    sums /= np.where(totals > 0, totals, 1)[:, None]
    return sums.astype(np.float32, copy=False)
