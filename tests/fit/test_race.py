"""Races of simulated candidates: the stated rate of errors holds, and bad candidates cost few chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bitwright.fit.choices import Levels
from bitwright.fit.race import Race, Runner, looks

CHUNKS, COUNT = 64, 1500
RACE = Race(looks(CHUNKS), (COUNT,) * len(looks(CHUNKS)), rate=0.05)
Noise = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t with 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "some count ten times": lambda rng, shape: rng.normal(size=shape) * rng.choice([1, 10], shape, p=[0.9, 0.1]),
    "skewed: rarely much worse": lambda rng, shape: rng.exponential(size=shape) - 1,
}  # fmt: skip


def raced(differences: NDArray[np.float64], race: Race = RACE) -> list[Runner]:
    """The race of candidates with these differences (candidates, chunks) to an incumbent."""
    incumbent = np.random.default_rng(9).exponential(size=differences.shape[1])

    def score(candidates: Sequence[Levels], chunks: Sequence[int]) -> NDArray[np.float64]:
        rows = [levels[0] for levels in candidates]
        return differences[np.ix_(rows, chunks)] + incumbent[chunks]

    return race.run([(n,) for n in range(len(differences))], range(differences.shape[1]), incumbent, score)


@pytest.mark.parametrize("noise", NOISES)
def test_of_candidates_that_are_no_worse_few_are_called_worse(noise: str) -> None:
    runners = raced(NOISES[noise](np.random.default_rng(1), (COUNT, CHUNKS)))
    errors = sum(r.worse for r in runners) / COUNT
    assert errors <= 0.05 + 2.3 * np.sqrt(0.05 * 0.95 / COUNT)


@pytest.mark.parametrize("noise", ["normal", "t with 3 degrees"])
def test_bad_candidates_cost_few_chunks(noise: str) -> None:
    runners = raced(1.5 + NOISES[noise](np.random.default_rng(2), (300, CHUNKS)))
    assert sum(r.worse for r in runners) >= 297
    assert sum(len(r.scores) for r in runners) < 0.25 * 300 * CHUNKS


def test_better_candidates_run_to_the_end() -> None:
    runners = raced(-0.5 + np.random.default_rng(3).normal(size=(300, CHUNKS)))
    assert sum(len(r.scores) == CHUNKS and not r.left for r in runners) >= 297


def test_only_the_best_few_go_on() -> None:
    race = Race((2, 4), (2, 1), rate=1e-9)
    noise = np.array([[1, -1, 1, -1], [-1, 1, -1, 1]] * 2)
    runners = raced(np.array([[0.0], [-3], [2], [-2]]) + noise, race)
    assert [(r.left, r.worse, len(r.scores)) for r in runners] == [(2, False, 2), (0, False, 4), (2, False, 2),
                                                                  (4, False, 4)]  # fmt: skip


def test_looks_grow_to_all_chunks() -> None:
    assert looks(32) == (4, 8, 16, 32)
    assert looks(20, 3, 3.0) == (3, 9, 20)
    assert looks(2) == (2,)
