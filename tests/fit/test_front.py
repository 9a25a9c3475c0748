"""The front around a file: other sizes as the additive model predicts them, scaled by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fit.results import outline_of, small_model

from bitwright import formats
from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Ask, Budget, budget, file_bytes, searched
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.front import SPAN, front, others
from bitwright.fit.settings import Point
from bitwright.formats import Format
from bitwright.hardware.speed import PredictedSpeed
from bitwright.io import gguf, label
from bitwright.quantizers import quantize
from bitwright.recipes import Recipe

FORMATS = tuple(map(formats.get, ("q2_0", "q4_0", "q8_0", "f16")))
LOSSES = (0.04, 0.004, 0.0001, 0.0)  # of a tensor in each, times 1 to 5


@dataclass(frozen=True)
class Case:
    """A tiny model whose tensors lose unequally much."""

    source: Path
    budget: Budget
    choices: Choices

    def of_size(self, column: int) -> Levels:
        """The optimum of the size that all tensors have in one format."""
        return allocate(self.choices, int(self.choices.bytes[:, column].sum()))

    def around(self, best: Levels, loss: float) -> tuple[Point, ...]:
        """The front around a file that loses so much."""
        made = Point(file_bytes(self.budget.outline, self.choices.chosen(best)), loss, 20.0, True)
        return front(self.budget, self.choices, best, made, speed, {})


def speed(chosen: Mapping[str, Format]) -> PredictedSpeed | None:
    """Slower with more tensors in float16."""
    rate = 100.0 - sum(format is FORMATS[3] for format in chosen.values())
    return PredictedSpeed(rate, rate - 1, rate + 1)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    source = small_model(tmp_path / "small.f16.gguf")
    room = budget(outline_of(source), Ask(size=300_000))
    tensors = searched(room.outline)
    sizes = np.array([[room.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
    costs = np.outer(1 + np.arange(len(tensors)) % 5, LOSSES)
    return Case(source, room, Choices(tuple(t.name for t in tensors), FORMATS, sizes, costs))


def test_other_sizes_around_the_file(case: Case) -> None:
    choices, best = case.choices, case.of_size(1)
    found = case.around(best, 2 * choices.cost_of(best))
    sizes, losses = [p.bytes for p in found], [p.kl_divergence for p in found]
    assert [p.chosen for p in found] == [False, False, True, False, False]
    assert sizes == sorted(sizes) and losses == sorted(losses, reverse=True)
    size = choices.bytes_of(best)
    expected = [allocate(choices, round(share * size)) for share in (0.8, 0.9, 1.1, 1.2)]
    predicted = [p for p in found if not p.chosen]
    assert [p.kl_divergence for p in predicted] == pytest.approx([2 * choices.cost_of(levels) for levels in expected])
    rates = [speed(choices.chosen(levels)) for levels in expected]
    assert [p.tokens_per_second for p in predicted] == [rate.tokens_per_second for rate in rates if rate]


def test_bytes_are_those_of_the_file(case: Case, tmp_path: Path) -> None:
    """The smallest of the front, written with a label."""
    best = case.of_size(1)
    smaller = allocate(case.choices, round((1 - SPAN) * case.choices.bytes_of(best)))
    recipe, file = Recipe.exact(case.choices.chosen(smaller)), tmp_path / "out.gguf"
    quantize(case.source, recipe, file, threads=1, method="rtn")
    written = label.write(gguf.open(file), label.blank(), tmp_path / "labelled.gguf")
    assert case.around(best, 0.1)[0].bytes == written


def test_a_search_that_gained_expects_the_same_gain_of_other_sizes(case: Case) -> None:
    """A result that is dear to the additive model and good as measured is beaten by no smaller file."""
    best = (1,) * len(case.choices.tensors)
    assert case.choices.cost_of(best) > case.choices.cost_of(case.of_size(1))
    losses = [p.kl_divergence for p in case.around(best, 0.01)]
    assert losses == sorted(losses, reverse=True) and len(losses) == 5


def test_sizes_that_no_choice_reaches_are_left_out(case: Case) -> None:
    least, most = (int(sum(end(row[row > 0]) for row in case.choices.bytes)) for end in (min, max))
    assert others(case.choices, least) == [(least + round(1.2 * least)) // 2, round(1.2 * least)]
    assert others(case.choices, least + 100)[:2] == [least + 50, least]
    assert others(case.choices, most) == [(most + round(0.8 * most)) // 2, round(0.8 * most)]


def test_a_file_that_loses_nothing_stands_alone(case: Case) -> None:
    lossless = replace(case.choices, cost=np.zeros_like(case.choices.cost))
    made, best = Point(1000, 0.0, None, True), (3,) * len(lossless.tensors)
    assert front(case.budget, lossless, best, made, speed, {}) == (made,)
