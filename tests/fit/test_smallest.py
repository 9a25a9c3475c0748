"""The smallest candidate that loses no more than allowed, where the additive model is wrong by a factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from fit.planted import choices

from bitwright.errors import BudgetError
from bitwright.fit.allocation import cheapest
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.smallest import smallest


@dataclass
class Wrong:
    """Costs as the additive model predicts them, times a factor."""

    choices: Choices
    factor: float
    chunks: int = 4

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> np.ndarray:
        return np.array([[self.factor * self.choices.cost_of(c)] * len(chunks) for c in candidates])


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_what_was_measured_corrects_what_is_predicted(factor: float) -> None:
    model = choices(6)
    found = smallest(model, Wrong(model, factor), 0.1)
    best = model.bytes_of(cheapest(model, 0.1 / factor))
    assert factor * model.cost_of(found) <= 0.1
    assert best <= model.bytes_of(found) <= 1.01 * best


def test_a_loss_that_no_choice_reaches() -> None:
    model = choices(6)
    least = float(model.cost.min(axis=1).sum())
    with pytest.raises(BudgetError, match=f"the least measured is {9 * least:.4g}") as raised:
        smallest(model, Wrong(model, 9.0), 2 * least)
    assert raised.value.nearest == pytest.approx(9 * least)
