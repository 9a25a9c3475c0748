"""How the minutes of a fit are shared out: what a stage takes is measured on its first piece, then the stage is cut.

Statistics get fewer chunks of text, tensors fewer formats, prices fewer chunks, and the final codes less effort. A
choice is kept on disk under all that it depends on, so that a call that is resumed or repeated makes the same one,
however fast the machine is then. What cannot be cut is done even if time is up.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

import bitwright
from bitwright import kernels
from bitwright.calibration import second_moments, texts
from bitwright.engine import Engine
from bitwright.fit import gathering
from bitwright.fit.choices import Choices
from bitwright.fit.finish import EFFORT
from bitwright.fit.gathering import Pieces
from bitwright.fit.keys import Pair
from bitwright.fit.palette import Palette
from bitwright.fit.rates import encoding, reading, spoken
from bitwright.fit.settings import Settings
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing
from bitwright.kernels.tape import missing
from bitwright.measure import suite
from bitwright.measure.windows import spread
from bitwright.model.model import Model
from bitwright.progress import Stage, silent

FEWEST = 4  # chunks that statistics are gathered on
EFFORTS = range(EFFORT, 0, -1)  # of the final codes
SHARES = {
    "texts": 0.1,
    "search": 0.15,
    "statistics": 0.35,
    "effort": 0.35,
    "formats": 0.5,
    "gradients": 0.4,
}  # of the time left
MARGIN = 1.2  # of estimates
MEASURED = 1.5  # times the held-out text: what is read to predict it and to see the noise floor
TEXTS = 2  # times as long: what the original and the file write
BACKWARD = 5  # times as long as reading a text: gathering statistics on it, or taking gradients
GENERATION = 2  # times as long as measuring the first allocation: a generation of candidates
Amount = TypeVar("Amount", int, float)
Options = Sequence[tuple[Amount, float]]  # amounts of work, the best first, each with its seconds


class Schedule:
    """The time of one call: `minutes` from now, by `clock`; None cuts nothing. `told` hears at once what is cut, and
    `cut` keeps it, in words. `reserved`: seconds for what comes after the search. `generation`: seconds that one of
    the search is expected to take."""

    def __init__(
        self,
        minutes: float | None = None,
        threads: int | None = None,
        told: Callable[[str], object] = lambda said: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.minutes, self.threads = minutes, threads or kernels.usable_cores()
        self._told, self._clock = told, clock
        self._ends = math.inf if minutes is None else clock() + 60 * minutes
        self.cut: list[str] = []
        self.reserved = self.generation = self._token = self._held_out = 0.0

    @classmethod
    def of(cls, settings: Settings, told: Callable[[str], object]) -> Schedule:
        """As the settings say: a search that ends by what it measured has no limit of time."""
        return cls(settings.minutes if settings.evaluations is None else None, settings.threads, told)

    @property
    def left(self) -> float:
        """Seconds until only those reserved are left."""
        return max(0.0, self._ends - self._clock() - self.reserved)

    def begin(self, engine: Engine, gathers: bool, stage: Stage = silent) -> None:
        """See how fast the original reads, and reserve the time to measure the file. Says so if not even the
        least can be done in time. gathers: whether statistics are to be gathered."""
        if self.minutes is None:
            return
        with stage("timing the original"):
            self._token = MARGIN * reading(engine, self._clock)
        self._held_out = suite.CHUNKS["quick"] * engine.context * self._token
        measured = MEASURED * self._held_out
        self.reserved = 3 * measured  # the file, and what the search gained
        read = gathering.SEARCHED + gathers * FEWEST * gathering.GATHERED
        least = 4 * measured + self._search(gathering.LEAST) + 2 * encoding(engine.model, EFFORTS[-1]) / self.threads
        over = least + BACKWARD * read * self._token - (self._ends - self._clock())
        if over > 0:
            whole = spoken(60 * self.minutes + over)
            self._told(
                f"{spoken(60 * self.minutes)} will not do for this model on this machine: everything is cut as "
                f"far as it can be, and takes about {whole}, less what earlier calls left in the cache"
            )

    def _search(self, chunks: int) -> float:
        """Seconds until the first allocation is measured on so many chunks: the original reads them before."""
        return 2 * self._token * chunks * gathering.SEARCHED

    # -- what is cut

    def writes(self, model: Model, settings: Settings) -> bool:
        """Whether there is time for texts that the original and the file write, to see how long they stay the same."""
        depends = f"{model.sha256()} {settings.held_out is None}"
        found = self._choose("texts", depends, lambda: [(1, TEXTS * self._held_out), (0, 0.0)], 1)
        if not found:
            self._say("the file is not measured over many steps")
        return bool(found)

    def searched(self, model: Model, pieces: Pieces) -> Pieces:
        """The pieces, with as many chunks to measure candidates on as there is time to read, an even number."""
        chunks = pieces.searched
        counts = [len(chunks), *range((len(chunks) - 1) // 2 * 2, gathering.LEAST - 1, -2)]
        options = [(count, self._search(count)) for count in counts]
        depends = f"{model.sha256()} {texts.digest(chunks)}"
        count = self._choose("search", depends, lambda: options, len(chunks))
        self.generation = GENERATION * self._search(count)
        if count == len(chunks):
            return pieces
        self._say(f"candidates are measured on {count} of {len(chunks)} chunks of text")
        half = (len(chunks) + 1) // 2
        return replace(pieces, searched=np.concatenate([chunks[: count // 2], chunks[half : half + count // 2]]))

    def statistics(self, model: Model, pieces: Pieces, settings: Settings, stage: Stage = silent) -> Pieces:
        """The pieces, with as many chunks for statistics as there is time to gather."""
        chunks = pieces.gathered

        def options() -> Options[int]:
            each, fisher = 0.0, not missing(model.step)
            if not gathering.place(model, pieces, settings.seed).exists():
                with stage("timing statistics of one chunk"):
                    each = second_moments.seconds_for(model, chunks[:1], fisher, settings.threads)
            return [(count, count * each) for count in range(len(chunks), min(FEWEST, len(chunks)) - 1, -1)]

        depends = f"{model.sha256()} {texts.digest(chunks)} {settings.seed}"
        count = self._choose("statistics", depends, options, len(chunks))
        if count < len(chunks):
            self._say(f"statistics are gathered on {count} of {len(chunks)} chunks of text")
        return replace(pieces, gathered=chunks[spread(len(chunks), count)])

    def effort(self, palette: Palette, tensors: Sequence[Pair], depends: str) -> int:
        """How much effort the final codes get, and the time reserved for it. tensors: in about the formats that they
        will have. Those of the palette's own effort are there."""
        pace, final = palette.pace, dict(tensors)
        quantizers = {effort: replace(palette.quantizer, effort=effort) for effort in EFFORTS}
        seconds = {
            effort: pace * sum(own.work(palette.model.tensors[name], format) for name, format in final.items())
            if effort != palette.quantizer.effort
            else 0.0
            for effort, own in quantizers.items()
        }
        options = [(effort, MARGIN * seconds[effort]) for effort in EFFORTS]
        effort = self._choose("effort", depends, lambda: options, EFFORTS[0])
        self.reserved += MARGIN * seconds[effort]
        if effort < EFFORTS[0]:
            self._say(f"the final codes are chosen with effort {effort} of {EFFORTS[0]}")
        return effort

    def formats(self, palette: Palette, lists: Mapping[float, Choices], depends: str) -> Choices:
        """The longest list of formats, of these by their width, that there is time to build."""
        widest = next(iter(lists))

        def seconds(choices: Choices) -> float:
            return sum(palette.seconds(*pair) for pair in choices.pairs)

        def options() -> Options[float]:
            return [(width, seconds(choices)) for width, choices in lists.items()]

        width = self._choose("formats", f"{depends} {list(lists)}", options, widest)
        built, full = len(lists[width].pairs), len(lists[widest].pairs)
        if built < full:
            self._say(f"tensors are tried in fewer formats: {built} are built, of {full} that could matter")
        return lists[width]

    def gradients(self, depends: str, most: int) -> Callable[[float], int]:
        """Says how many chunks gradients are taken on, given the seconds of the first."""

        def limit(seconds: float) -> int:
            options = [(count, (count - 1) * seconds) for count in range(most, 0, -1)]
            count = self._choose("gradients", depends, lambda: options, most)
            if count < most:
                self._say(f"prices of formats come from {count} of {most} chunks of text")
            return count

        return limit

    def _choose(self, name: str, depends: str, options: Callable[[], Options[Amount]], most: Amount) -> Amount:
        """The best amount that takes at most its share of the time left, else the least; `most` without a limit. Where
        it was chosen before for the same, which `depends` says, it is the same again."""
        if self.minutes is None:
            return most
        key = hashlib.sha256(f"{bitwright.__version__} {name} {self.minutes} {depends}".encode()).hexdigest()
        path = cache_folder() / "searches" / f"{key[:32]}.plan"
        if (kept := _read(path)) is not None:
            return type(most)(kept)
        found = options()
        most_seconds = SHARES[name] * self.left
        chosen = next((amount for amount, seconds in found if seconds <= most_seconds), found[-1][0])
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(json.dumps(chosen).encode())
        return chosen

    def _say(self, cut: str) -> None:
        assert self.minutes is not None  # without a limit nothing is cut
        self.cut.append(cut)
        self._told(f"to keep within {spoken(60 * self.minutes)}, {cut}")


def _read(path: Path) -> int | float | None:
    """A choice that was kept; None if there is none, or a damaged file."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, int | float) else None
