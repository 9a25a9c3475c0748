"""One pass over a text that keeps how large the inputs of every weight are."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import calibration
from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.engine.partial import SAVE_SECONDS, Partial
from bitwright.errors import UsageError
from bitwright.io.checksum import sha256
from bitwright.kernels import Program
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine.model import Model

BATCH = 128  # tokens at a time; all their logits are asked for, because the last layer sees no other tokens
Text = tuple[str, str | Sequence[int]]  # a name, and a text or the ids of one


def calibrate(
    model: Model,
    texts: Sequence[Text],
    context: int = 512,
    chunks: int | None = None,
    progress: Progress | None = None,
    output: str | Path | None = None,
) -> ActivationStatistics:
    """Importance of every weight that is multiplied by, over texts cut into chunks of `context` tokens.

    Chunks are as llama.cpp's imatrix makes them: disjoint, each read afresh, beginning with the beginning-of-text token
    where the model wants one. `chunks` takes the first of each text. progress(done, chunks, "") follows each chunk.
    The head is observed too. With `output` the statistics are written there, what is done is kept in a folder beside it
    every two minutes, and an interrupted run of the same is taken up again. Raises UsageError where no text is as long
    as a chunk, or the folder holds the beginning of something else.
    """
    pieces = cut(model, texts, context, chunks)
    batch = min(context, BATCH)
    program = Program(model.step, model.weights, context, 1, batch, model.threads, model.forced_tier, observe=True)
    squares = _Squares(program)
    kept = Partial(Path(output), f"{sha256(model.file.paths)} {digest(pieces)} importance") if output else None
    done, saved = kept.of(0).restore([squares]) if kept else 0, time.monotonic()
    model.file.release()
    for number in range(done, len(pieces)):
        for start in range(0, context, batch):
            positions = np.arange(start, min(start + batch, context))
            program.run(pieces[number, positions], positions, np.zeros_like(positions), positions - start)
        if kept and time.monotonic() - saved > SAVE_SECONDS:
            kept.of(0).save([squares], number + 1)
            saved = time.monotonic()
        if progress:
            progress(number + 1, len(pieces), "")
    gathered = {name: SquareSums(sums[None], np.array([rows])) for name, (sums, rows) in squares.found().items()}
    statistics = ActivationStatistics(gathered, tuple(name for name, _ in texts), len(pieces), context)
    if output and kept:
        calibration.write(output, statistics)
        kept.remove()
    return statistics


class _Squares:
    """A program's sums of squares, on top of those of the run that it takes up again."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.before = {name: (np.zeros_like(sums), 0) for name, (sums, _) in program.squares().items()}

    def found(self) -> dict[str, tuple[NDArray[np.float64], int]]:
        own = self.program.squares()
        return {name: (sums + own[name][0], rows + own[name][1]) for name, (sums, rows) in self.before.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: np.append(sums, rows) for name, (sums, rows) in self.found().items()}

    def restore(self, state: Callable[[str], NDArray[Any]]) -> None:
        self.before = {name: (state(name)[:-1], int(state(name)[-1])) for name in self.before}


def digest(pieces: NDArray[np.int32]) -> str:
    """SHA-256 of the token ids of all pieces."""
    return hashlib.sha256(np.ascontiguousarray(pieces, "<i4").tobytes()).hexdigest()


def cut(model: Model, texts: Sequence[Text], context: int, chunks: int | None) -> NDArray[np.int32]:
    """The token ids (pieces, context) of texts; UsageError where no text is as long as a chunk."""
    if not 1 <= context <= model.context:
        raise UsageError(f"chunks must have 1 to {model.context} tokens (the model's context), got {context}")
    pieces = np.concatenate([_pieces(model, text, context, chunks) for _, text in texts])
    if not len(pieces):
        raise UsageError(f"none of the texts has the {context} tokens of a chunk")
    return pieces


def conversations(model: Model, text: str, source: object) -> list[int]:
    """The ids of JSON lines {"messages": [{"role": ..., "content": ...}]}, each as the model's chat template writes it.

    Raises UsageError naming `source` and the line that is something else, or a model without a template.
    """
    template = model.chat_template
    if template is None:
        raise UsageError(f"{model.path} has no chat template: it does not say how it wants a conversation written")
    ids: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            messages = json.loads(line)["messages"]
            if not (messages and all(isinstance(m["role"], str) and "content" in m for m in messages)):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            expected = '{"messages": [{"role": ..., "content": ...}, ...]}'
            raise UsageError(f"{source}, line {number}: expected {expected}, got {line.strip()[:60]}") from None
        ids += template.encode(model.tokenizer, messages, add_generation_prompt=False)
    return ids


def _pieces(model: Model, text: str | Sequence[int], context: int, chunks: int | None) -> NDArray[np.int32]:
    ids = np.array(model.tokenizer.encode(text) if isinstance(text, str) else text, np.int32)
    pieces = ids[: len(ids) // context * context].reshape(-1, context)[:chunks]
    if model.tokenizer.add_bos and model.tokenizer.bos is not None:
        pieces[:, 0] = model.tokenizer.bos
    return pieces
