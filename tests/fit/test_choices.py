"""Candidates: their bytes, predicted costs and formats."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright import formats
from bitwright.fit.choices import Choices

Q4, Q6, Q8 = (formats.get(name) for name in ("q4_k", "q6_k", "q8_0"))
CHOICES = Choices(
    ("a", "b"), (Q4, Q6, Q8), np.array([[10, 20, 0], [100, 200, 300]]), np.array([[3.0, 1, np.inf], [0.5, 0.25, 0]])
)


def test_a_candidate_has_bytes_a_cost_and_formats() -> None:
    assert CHOICES.bytes_of((1, 2)) == 320
    assert CHOICES.cost_of((0, 1)) == 3.25
    assert CHOICES.chosen((1, 2)) == {"a": Q6, "b": Q8}
    assert CHOICES.levels([Q6, Q8]) == (1, 2)
    assert CHOICES.allowed.tolist() == [[True, True, False], [True, True, True]]


def test_a_format_that_is_no_choice() -> None:
    with pytest.raises(ValueError, match="not in"):
        CHOICES.levels([formats.get("f16"), Q4])
