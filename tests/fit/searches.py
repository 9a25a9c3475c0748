"""A small search over all matrices of a model, for tests of workers: its files, and the scores of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitwright import formats
from bitwright.calibration import imatrix
from bitwright.engine.engine import Engine, RunOptions
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.dispatch import Lost
from bitwright.fit.palette import Palette
from bitwright.fit.programs import first_layers
from bitwright.fit.scoring import EngineScorer
from bitwright.fit.worker import Answer, Worker, plain
from bitwright.model.model import Model
from bitwright.quantizers import Quantizer
from tests.fit import palettes
from tests.synthetic_model import CONTEXT, VOCABULARY, metadata_of, weights_of, write

FORMATS = tuple(formats.get(name) for name in ("q4_0", "q8_0", "iq4_nl"))
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (4, 48)).astype(np.int32)
CHUNKS = list(range(len(TOKENS)))


class Here:
    """Nodes in this process, each with a Worker. Calls end in random order; those of `deaths` end their worker."""

    def __init__(self, count: int, deaths: Sequence[int] = (), about: Mapping[str, Any] | None = None) -> None:
        self.count, self.deaths, self.about, self.calls = count, set(deaths), dict(about or {}), 0
        self.random = np.random.default_rng(count)

    def alive(self) -> Mapping[str, int]:
        return {f"node {number}": 1 for number in range(self.count)}

    def start(self, node: str, threads: int) -> Worker:
        return Worker(threads)

    def call(self, worker: Worker, method: str, arguments: Sequence[Any]) -> tuple[int, Worker, str, Sequence[Any]]:
        plain(arguments)
        self.calls += 1
        return self.calls, worker, method, arguments

    def share(self, data: bytes) -> bytes:
        return data

    def finished(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        return [calls[self.random.integers(len(calls))]]

    def answer(self, call: tuple[int, Worker, str, Sequence[Any]]) -> Answer:
        number, worker, method, arguments = call
        if number in self.deaths:
            raise Lost("killed")
        found = worker.answer(method, *arguments)
        return {"value": found["value"] | self.about} if method == "hello" else found

    def stop(self, worker: Worker) -> None:
        pass


@dataclass(frozen=True)
class Case:
    model: Model
    folder: Path
    statistics: Path | None = None

    @property
    def engine(self) -> Engine:
        return self.engine_on(None)

    def engine_on(self, tier: str | None) -> Engine:
        return Engine(self.model, RunOptions(context=CONTEXT, threads=1, tier=tier))

    @property
    def choices(self) -> Choices:
        matrices = [name for name, tensor in self.model.tensors.items() if len(tensor.shape) == 2]
        names = tuple(sorted(matrices, key=first_layers(self.model.step).__getitem__))
        size = len(names), len(FORMATS)
        return Choices(names, FORMATS, np.ones(size, np.int64), np.zeros(size))

    @property
    def pairs(self) -> list[tuple[str, formats.Format]]:
        return [(name, format) for name in self.choices.tensors for format in FORMATS]

    @property
    def candidates(self) -> list[Levels]:
        """All tensors alike; three in which each is drawn; and some that differ from the first in one tensor."""
        random, count = np.random.default_rng(1), len(self.choices.tensors)
        drawn = [tuple(map(int, random.integers(0, 3, count))) for _ in range(2)]
        single = [tuple(int(own == place) for own in range(count)) for place in range(0, count, 5)]
        return [(0,) * count, *drawn, *single]

    def palette(self, name: str = "palette") -> Palette:
        statistics = None if self.statistics is None else imatrix.read(self.statistics)
        return Palette(self.model.opened(), Quantizer(None, 1, statistics, 1), self.folder / name)

    def scores(self, tier: str | None = None, objective: str = "mean") -> np.ndarray:
        """By this machine alone, of all candidates on all chunks."""
        engine, palette = self.engine_on(tier), self.palette("own palette")
        scorer = EngineScorer(engine, palette.tensor, self.choices, TOKENS, objective, self.folder / "own references")
        return scorer.score(self.candidates, CHUNKS, self.candidates[0])


def made(folder: Path, statistics: bool = False, seed: int = 0) -> Case:
    """A case in `folder`; with importance and second moments for the first layer's attention."""
    metadata = metadata_of("llama", block_count=2)
    model = Model.from_gguf(palettes.gguf.open(write(folder / "model.gguf", metadata, weights_of(metadata, seed))))
    if statistics:
        imatrix.write(folder / "stats.gguf", palettes.gathered(columns=metadata["llama.embedding_length"]))
    return Case(model, folder, folder / "stats.gguf" if statistics else None)
