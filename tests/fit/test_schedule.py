"""The time of a fit shared out: what fits its share is done in full, and what was cut once is cut the same again."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine.engine import Engine, RunOptions
from bitwright.fit import schedule
from bitwright.fit.gathering import Pieces
from bitwright.fit.rates import spoken
from bitwright.fit.schedule import Schedule
from bitwright.fit.settings import Settings
from bitwright.model.model import Model, load
from bitwright.progress import Progress, silent
from tests import synthetic_model

DEPENDS = "model, text and budget"


class Clock:
    """Stands still until it is set, or moves by `step` whenever it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    metadata = synthetic_model.metadata_of("llama", block_count=1)
    return load(synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata)))


def planned(clock: Clock, told: list[str], minutes: float | None = 10) -> Schedule:
    return Schedule(minutes, 1, told.append, clock)


def gradients(each: float, clock: Clock, told: list[str], minutes: float | None = 10) -> int:
    return planned(clock, told, minutes).gradients(DEPENDS, 8)(each)


@pytest.mark.parametrize(("each", "count"), [(1, 8), (600 * 0.4 / 7, 8), (60, 5), (200, 2), (1e9, 1)])
def test_as_many_pieces_as_fit_the_share(cache: Path, each: float, count: int) -> None:
    """The first chunk is done when the others are counted."""
    told: list[str] = []
    assert gradients(each, Clock(), told) == count
    said = [f"to keep within 10 minutes, prices of formats come from {count} of 8 chunks of text"]
    assert told == (said if count < 8 else [])


def test_what_was_chosen_is_chosen_again_on_a_faster_or_slower_machine(cache: Path) -> None:
    told: list[str] = []
    assert gradients(60, Clock(), told) == 5
    assert [gradients(each, Clock(), told) for each in (0, 1, 1e9)] == [5, 5, 5]
    assert len(told) == 4 and len(set(told)) == 1  # it is said each time
    assert gradients(60, Clock(), told, minutes=100) == 8  # another call
    for path in (cache / "searches").iterdir():
        path.write_bytes(b"{")
    assert gradients(1, Clock(), told) == 8


def test_without_a_limit_nothing_is_cut_or_kept(cache: Path) -> None:
    told: list[str] = []
    assert gradients(1e9, Clock(), told, None) == 8
    assert planned(Clock(), told, None).left == math.inf
    assert not told and not (cache / "searches").exists()


def begun(minutes: float, told: list[str], model: Model) -> Schedule:
    """A schedule whose clock moves a second at each reading while the original is timed: 32 tokens are read in 1 s."""
    clock = Clock()
    own = planned(clock, told, minutes)
    clock.step = 1
    own.begin(Engine(model, RunOptions(context=32, threads=1)), gathers=False)
    clock.step = 0
    return own


def test_time_is_reserved_for_what_comes_last(cache: Path, model: Model) -> None:
    """To measure 12 chunks of 32 tokens three times, and to see the noise floor."""
    told: list[str] = []
    own = begun(200, told, model)
    assert own.reserved == pytest.approx(3 * schedule.MEASURED * 12 * 32 * schedule.MARGIN / 32)
    assert own.left == pytest.approx(200 * 60 - 3 - own.reserved) and not told


def test_text_to_search_on_is_cut_in_both_halves(cache: Path, model: Model) -> None:
    """A chunk of 256 tokens counts with 19.2 s for two readings: 32 fit in 15% of what is left of the 70 minutes."""
    told: list[str] = []
    own = begun(70, told, model)
    chunks = np.arange(81 * 256, dtype=np.int32).reshape(81, 256)
    pieces = own.searched(model, Pieces(("text",), chunks, chunks))
    assert pieces.searched[:, 0].tolist() == [256 * n for n in (*range(16), *range(41, 57))]
    assert told == ["to keep within 70 minutes, candidates are measured on 32 of 81 chunks of text"]
    assert own.generation == pytest.approx(2 * 2 * 32 * 256 * schedule.MARGIN / 32)


def test_texts_are_written_if_there_is_time(cache: Path, model: Model) -> None:
    """As long as reading the held-out text twice: 28.8 s."""
    told: list[str] = []
    assert begun(30, told, model).writes(model, Settings()) and not told[1:]
    assert not begun(5, told, model).writes(model, Settings())
    assert told[-1] == "to keep within 5 minutes, the file is not measured over many steps"


def test_it_is_said_at_once_if_not_even_the_least_fits(cache: Path, model: Model) -> None:
    told: list[str] = []
    own = planned(Clock(step=10), told, minutes=2)
    stages: list[str] = []

    def stage(name: str) -> AbstractContextManager[Progress]:
        stages.append(name)
        return silent(name)

    own.begin(Engine(model, RunOptions(context=32, threads=1)), True, stage)
    assert len(told) == 1 and stages == ["timing the original"]
    assert told[0].startswith("2 minutes will not do for this model on this machine: everything is cut as far as it")
    assert "takes about 164 minutes, less what earlier calls left in the cache" in told[0]


def test_spoken() -> None:
    assert [spoken(s) for s in (0, 1, 30, 60, 90)] == ["0 seconds", "1 second", "30 seconds", "1 minute", "1.5 minutes"]
    assert [spoken(s) for s in (90 * 60 + 10, 20_000, 1e6)] == ["90 minutes", "5.6 hours", "278 hours"]
