"""What a search starts from: chunks of text to measure candidates on, and activation statistics, both of one text.

Statistics are kept in the cache under what decides them, so that other budgets for the same model reuse them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import ActivationStatistics, imatrix, mix, second_moments, texts
from bitwright.calibration.texts import Text
from bitwright.errors import UsageError
from bitwright.io.aliases import cache_folder
from bitwright.kernels.tape import missing
from bitwright.measure.horizon import held_out
from bitwright.measure.windows import spread
from bitwright.model.model import Model
from bitwright.progress import Stage

GATHERED, CHUNKS = 512, 40  # tokens in a chunk that statistics are gathered on, and how many
SEARCHED = 256  # tokens in a chunk that candidates are measured on
LEAST, MOST = 24, 192  # such chunks, if the texts have as many: MOST for small models, and for those of more than
SMALL = 200 * 10**6  # parameters fewer in proportion, but LEAST
EVERY = 3  # one chunk of so many is for the search, the others for statistics
VERSION = 1  # of kept statistics


@dataclass(frozen=True)
class Pieces:
    """Token ids of one text: `searched` (chunks, SEARCHED) to measure candidates on, `gathered` (chunks, GATHERED) for
    statistics. No token is in both. Each half of `searched` is spread over all of the text, in random order. `names`
    are those of the texts."""

    names: tuple[str, ...]
    searched: NDArray[np.int32]
    gathered: NDArray[np.int32]

    @property
    def raced(self) -> NDArray[np.int32]:
        """The first half of `searched`, the larger one: for prices and races. The second is the guard's alone."""
        return self.searched[: (len(self.searched) + 1) // 2]


def cut(model: Model, given: Sequence[Text]) -> Pieces:
    """Chunks spread evenly over the given texts, or over those found on this machine.

    UsageError if they have fewer than EVERY chunks, or share text with the horizon suite.
    """
    found = list(given) or [(source.name, text) for source, text in mix.texts()]
    for name, text in found:
        if isinstance(text, str):
            held_out.check(name, text)
    context = min(GATHERED, model.config.context)
    pieces = texts.cut(model, found, context, None)
    if len(pieces) < EVERY:
        raise UsageError(f"expected texts of at least {EVERY} chunks of {context} tokens, got {len(pieces)}")
    own = np.arange(len(pieces)) % EVERY == 1
    searched, gathered = pieces[own][:, : min(SEARCHED, context)], pieces[~own]
    names = tuple(name for name, _ in found)
    searched, random = searched[spread(len(searched), most(model))], np.random.default_rng(0)
    searched = np.concatenate([random.permutation(searched[half::2]) for half in (0, 1)])
    return Pieces(names, searched, gathered[spread(len(gathered), CHUNKS)])


def most(model: Model) -> int:
    """How many chunks to measure a candidate on: as many as take the same time, within limits."""
    return max(LEAST, min(MOST, MOST * SMALL // model.parameters))


def statistics(model: Model, pieces: Pieces, seed: int, threads: int | None, stage: Stage) -> ActivationStatistics:
    """Second moments of every weight's inputs, weighted by gradients if all ops of the model have one; from the cache
    if they were gathered before. An interrupted run continues."""
    kept = place(model, pieces, seed)
    if kept.exists():
        return imatrix.read(kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    text, fisher = (", ".join(pieces.names), pieces.gathered.ravel().tolist()), not missing(model.step)
    with stage("gathering statistics") as report:
        return second_moments.gather(
            model, [text], kept, pieces.gathered.shape[1], None, fisher, seed, progress=report, threads=threads
        )


def place(model: Model, pieces: Pieces, seed: int) -> Path:
    """Where the statistics of these pieces are kept."""
    fisher = not missing(model.step)
    key = f"{VERSION} {model.sha256()} {texts.digest(pieces.gathered)} {pieces.gathered.shape} {fisher} {seed}"
    name = f"{model.path.stem[:48]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.gguf"
    return cache_folder() / "statistics" / name
