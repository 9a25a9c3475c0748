"""Files around the one that was found: more bytes lose less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fit.results import outline_of, small_model

from bitwright import formats
from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Ask, budget, file_bytes, searched
from bitwright.fit.choices import Choices
from bitwright.fit.front import front
from bitwright.hardware.speed import PredictedSpeed

FORMATS = [formats.get(name) for name in ("q4_0", "q5_0", "q8_0", "f16")]


def test_more_bytes_lose_less(tmp_path: Path) -> None:
    outline = outline_of(small_model(tmp_path / "small.f16.gguf"))
    found, tensors = budget(outline, Ask(size=180_000)), searched(outline)
    sizes = np.array([[found.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
    costs = np.random.default_rng(0).lognormal(-5, 1, (len(tensors), 1)) * np.array([1, 0.3, 0.01, 0])
    choices = Choices(tuple(t.name for t in tensors), tuple(FORMATS), sizes, costs)
    best = allocate(choices, found.room)
    speed = PredictedSpeed(20.0, 18.0, 22.0)
    points = front(found, choices, best, 2 * choices.cost_of(best), lambda chosen: speed, {})
    sizes_of, losses = [p.bytes for p in points], [p.kl_divergence for p in points]
    assert sizes_of == sorted(sizes_of) and losses == sorted(losses, reverse=True) and len(points) == 5
    own = next(p for p in points if p.bytes == file_bytes(outline, choices.chosen(best)))
    assert own.kl_divergence == pytest.approx(2 * choices.cost_of(best)) and own.tokens_per_second == 20.0
    smallest = (0,) * len(tensors)  # nothing is smaller, so nothing is left out but itself
    assert front(found, choices, smallest, None, lambda chosen: None, {})[0].bytes == file_bytes(
        outline, choices.chosen(smallest)
    )
