"""One pass over texts that records the size of the inputs of every weight."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import calibration
from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.calibration.partial import SAVE_SECONDS, Partial
from bitwright.calibration.texts import Text, cut, digest
from bitwright.kernels import Executor, Memory, Program, WeightBank
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.model.model import Model

BATCH = 128  # tokens at a time; all their logits are computed, because the last layer sees no other tokens


def calibrate(
    model: Model,
    texts: Sequence[Text],
    context: int = 512,
    chunks: int | None = None,
    progress: Progress | None = None,
    output: str | Path | None = None,
    threads: int | None = None,
    tier: str | None = None,
) -> ActivationStatistics:
    """Importance of every weight that is multiplied by, over texts cut into chunks of `context` tokens.

    Chunks are as llama.cpp's imatrix makes them: disjoint, each read from an empty cache, beginning with the
    beginning-of-text token if the model uses one. `chunks` takes the first of each text. progress(done, chunks, "")
    is called after each. The head is observed too. With `output` the statistics are written there, and progress is
    saved in a folder next to it every two minutes; an interrupted run is resumed by the same call. Raises UsageError if
    no text is as long as a chunk, or if the folder belongs to another run.
    """
    pieces = cut(model, texts, context, chunks)
    batch = min(context, BATCH)
    program = Program(model.step, model.tensors, WeightBank(tier, threads), observe=True)
    memory = Memory(program.layers, context, 1, batch, states=program.states)
    executor = Executor(program, batch, threads)
    squares = _Squares(executor)
    kept = Partial(Path(output), f"{model.sha256()} {digest(pieces)} importance") if output else None
    done, saved = kept.of(0).restore([squares]) if kept else 0, time.monotonic()
    model.release()
    for number in range(done, len(pieces)):
        for start in range(0, context, batch):
            positions = np.arange(start, min(start + batch, context))
            executor.run(memory, pieces[number, positions], positions, np.zeros_like(positions), positions - start)
        if kept and time.monotonic() - saved > SAVE_SECONDS:
            kept.of(0).save([squares], number + 1)
            saved = time.monotonic()
        if progress:
            progress(number + 1, len(pieces), "")
    gathered = {name: SquareSums(*own) for name, own in squares.found().items()}
    statistics = ActivationStatistics(gathered, tuple(name for name, _ in texts), len(pieces), context)
    if output and kept:
        calibration.write(output, statistics)
        kept.remove()
    return statistics


class _Squares:
    """An executor's sums of squares, added to those of the run being resumed."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.before = {n: (np.zeros_like(sums), np.zeros_like(rows)) for n, (sums, rows) in executor.squares().items()}

    def found(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
        own = self.executor.squares()
        return {name: (sums + own[name][0], rows + own[name][1]) for name, (sums, rows) in self.before.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: np.column_stack([sums, rows]) for name, (sums, rows) in self.found().items()}

    def restore(self, state: Callable[[str], NDArray[Any]]) -> None:
        read = {name: state(name) for name in self.before}
        self.before = {name: (own[:, :-1], own[:, -1].astype(np.int64)) for name, own in read.items()}
