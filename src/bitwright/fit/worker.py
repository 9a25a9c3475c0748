"""The part of a search that runs on another machine: opens the model there, builds tensors, scores candidates.

All that it is sent and all that it answers is plain data: paths, hashes, names and numbers. A model never travels: each
machine opens its own copy of the file, and refuses another file of that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bitwright
from bitwright import formats, kernels
from bitwright.calibration import imatrix
from bitwright.errors import BitwrightError, UsageError
from bitwright.fit.choices import Choices
from bitwright.fit.palette import Palette
from bitwright.fit.scoring import EngineScorer
from bitwright.io import checksum
from bitwright.model import files as model_files
from bitwright.model.model import Model
from bitwright.quantizers import Quantizer

Answer = dict[str, Any]  # {"value": plain data}, or {"error": one line}


@dataclass(frozen=True)
class Files:
    """What every worker opens: a model and its statistics, by path and SHA-256, and the folder of the palette (None:
    that of the worker's own cache). method, effort: of the Quantizer."""

    model: str
    model_sha256: str
    statistics: str | None
    statistics_sha256: str | None
    method: str | None
    effort: int
    palette: str | None
    version: str = bitwright.__version__


@dataclass(frozen=True)
class Search:
    """What candidates are and how they are scored: names of tensors and formats, the shape of the text's tokens and
    their SHA-256, and options of the engine and of EngineScorer."""

    tensors: tuple[str, ...]
    formats: tuple[str, ...]
    shape: tuple[int, int]
    text_sha256: str
    tier: str
    context: int
    kv: str
    activations: str
    references: str | None = None

    @property
    def id(self) -> str:
        """Names the search in jobs: SHA-256 of all that it says."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def plain(value: object) -> object:
    """The value, if it is plain data: numbers, strings, bytes, and lists, tuples and dictionaries of them. Otherwise
    TypeError."""
    if isinstance(value, dict):
        plain(list(value.items()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            plain(part)
    elif not (value is None or type(value) in (bool, int, float, str, bytes)):
        raise TypeError(f"expected plain data, got {type(value).__name__}")
    return value


def usable_tiers() -> list[str]:
    """The CPU tiers that this machine can run, slowest first, up to the one in use: BITWRIGHT_TIER may force less."""
    found = kernels.tiers()
    return found[: found.index(kernels.tier()) + 1]


def arithmetic() -> str:
    """SHA-256 of some values of NumPy's exp and log, whose last bits depend on the processor."""
    x = np.linspace(-20, 20, 4099)
    values = (np.exp(x), np.exp(x.astype(np.float32)), np.log(np.exp(x)), np.expm1(x))
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()


class Worker:
    """Serves one search after the other with `threads` threads. Methods take and give plain data."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._model: Model | None = None
        self._palette: Palette | None = None
        self._scorer: EngineScorer | None = None
        self._search = ""

    def answer(self, method: str, *arguments: Any) -> Answer:
        """The value of a method, or the line of an error that the user can act on."""
        try:
            return {"value": plain(getattr(self, method)(*arguments))}
        except BitwrightError as error:
            return {"error": str(error)}

    def hello(self) -> dict[str, Any]:
        """What this machine is: its name, process, CPU tiers and arithmetic."""
        about = {"host": platform.node(), "process": os.getpid()}
        return about | {"tiers": usable_tiers(), "arithmetic": arithmetic()}

    def open(self, files: dict[str, Any]) -> None:
        """Open the files (fields of Files). BitwrightError if one is missing or another one has its name."""
        wanted = Files(**files)
        if wanted.version != bitwright.__version__:
            expected = f"expected bitwright {wanted.version}, as where the search was started"
            raise BitwrightError(f"{expected}, found {bitwright.__version__}: install the same version everywhere")
        file, statistics = model_files.open(wanted.model), None
        _check(file.path, file.sha256(), wanted.model_sha256)
        self._model = Model.from_gguf(file)
        if wanted.statistics is not None:
            path = Path(wanted.statistics)
            _check(path, checksum.sha256([path]), wanted.statistics_sha256)
            statistics = imatrix.read(wanted.statistics).fitted(self._model.tensors, wanted.statistics)
        quantizer = Quantizer(wanted.method, wanted.effort, statistics, self.threads)
        self._palette = Palette(file, quantizer, None if wanted.palette is None else Path(wanted.palette))

    def build(self, pairs: Sequence[Sequence[str]]) -> None:
        """Build those tensors in formats, pairs of names, that the palette's folder lacks."""
        assert self._palette is not None
        self._palette.build([(name, formats.get(format)) for name, format in pairs])

    def begin(self, search: dict[str, Any], tokens: bytes) -> None:
        """Make ready to score (`search`: fields of Search) on a text (int32 tokens, least significant byte first)."""
        from bitwright.engine.engine import Engine, RunOptions

        assert self._model is not None
        assert self._palette is not None
        wanted, found = Search(**search), hashlib.sha256(tokens).hexdigest()
        if found != wanted.text_sha256:
            raise BitwrightError(f"expected a text with SHA-256 {wanted.text_sha256}, got {found}")
        if wanted.tier not in usable_tiers():
            raise UsageError(f"the search runs on tier {wanted.tier}; here there is {', '.join(usable_tiers())}")
        text = np.frombuffer(tokens, "<i4").astype(np.int32).reshape(wanted.shape)
        palette = tuple(formats.get(name) for name in wanted.formats)
        size = len(wanted.tensors), len(palette)
        self._scorer = EngineScorer(
            Engine(self._model, RunOptions(wanted.context, self.threads, wanted.tier, wanted.kv, wanted.activations)),
            self._palette.tensor,
            Choices(wanted.tensors, palette, np.zeros(size, np.int64), np.zeros(size)),
            text,
            folder=None if wanted.references is None else Path(wanted.references),
        )
        self._search = wanted.id

    def prepare(self, search: str, chunks: Sequence[int]) -> None:
        """Compute the reference's predictions of some chunks that are not on disk yet."""
        self._scorer_of(search).prepare(chunks)

    def score(
        self, search: str, candidates: Sequence[Sequence[int]], chunks: Sequence[int], parent: Sequence[int]
    ) -> dict[str, list[list[float]]]:
        """Every objective, by name, of each candidate on each of these chunks."""
        scorer = self._scorer_of(search)
        found = scorer.score_all([tuple(own) for own in candidates], chunks, tuple(parent))
        return {name: scores.tolist() for name, scores in found.items()}

    def _scorer_of(self, search: str) -> EngineScorer:
        """The scorer of the search with this id."""
        if self._scorer is None or search != self._search:
            raise BitwrightError(f"expected a job of search {self._search[:12] or 'none'}, got one of {search[:12]}")
        return self._scorer


def _check(path: Path, found: str, expected: str | None) -> None:
    """BitwrightError if a file's SHA-256 is not that of the file that the search was started on."""
    if found != expected:
        wanted = f"{path}: expected the file that the search was started on, SHA-256 {str(expected)[:12]}..."
        raise BitwrightError(f"{wanted}, found another, {found[:12]}...: copy the file to this machine")
