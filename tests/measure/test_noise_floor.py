"""The reference compared with itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bitwright import kernels
from bitwright.engine import load
from bitwright.measure import noise_floor
from bitwright.measure.noise_floor import ROUNDED, NoiseFloor, Variation, measure_noise_floor
from bitwright.measure.windows import cut
from bitwright.statistics.interval import Interval


def test_the_same_weights_in_every_way_of_running(stories260k: Path, data: Path) -> None:
    engine = load(stories260k, context=128)
    windows = cut(engine.tokenizer, (data / "text/tinystories/tiny.utf8").read_text()[:4000], 128)
    floor = measure_noise_floor(engine, windows)
    names = [v.name for v in floor.variations]
    assert names[-1] == ROUNDED and any("thread" in name for name in names) and any("batches" in name for name in names)
    assert any(name.startswith("tier ") for name in names) == (len(kernels.tiers()) > 1)
    for variation in floor.variations:
        assert 0 <= variation.kl_divergence < 1e-5 and variation.same_top1 > 0.95, variation
        assert variation.tokens in (2 * 63, 2 * 23)
    rounded = floor.variations[-1].kl_divergence
    assert 1e-9 < rounded <= floor.kl_divergence


def test_how_many_floors_in_words() -> None:
    floor = NoiseFloor((Variation("a", 1e-4, 0.99, 100), Variation("b", 2e-4, 0.999, 100)))
    assert floor.kl_divergence == 2e-4 and floor.same_top1 == 0.99 and floor.above(1e-2) == 50
    assert floor.describe(Interval(1e-2, (9e-3, 1.2e-2), 30, "")) == "50 times the noise floor"
    assert "not distinguishable" in floor.describe(Interval(3e-4, (1e-4, 5e-4), 30, ""))
    assert floor.describe(Interval(3e-4, None, 3, "")) == "too little text to tell it from the reference's own noise"
    assert floor.describe(Interval(100, (99, 101), 30, "")) == "far above the noise floor"
    silent = NoiseFloor((Variation("a", 0.0, 1.0, 100),))
    assert silent.above(1e-9) == math.inf and silent.above(0) == 0
    assert not silent.distinguishable(Interval(0, (0, 0), 30, ""))
    assert silent.distinguishable(Interval(1e-9, (1e-9, 1e-9), 30, ""))
    assert floor.above(4e-4) == pytest.approx(2)


@pytest.mark.parametrize(
    "change",
    [{"kl_divergence": "x"}, {"kl_divergence": math.nan}, {"same_top1": 2}, {"tokens": 0}, {"name": "kept"}],
)  # fmt: skip
def test_a_damaged_floor_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    path, row = tmp_path / "floor.json", {"name": "a", "kl_divergence": 1e-4, "same_top1": 0.99, "tokens": 100}
    for text in ("", "[" * 9999, "[]", "{}", '{"variations": []}', '{"variations": [1]}'):
        path.write_text(text)
        assert noise_floor._read(path) is None
    path.write_text(json.dumps({"variations": [row | change]}))
    found = noise_floor._read(path)
    assert found == (NoiseFloor((Variation("kept", 1e-4, 0.99, 100),)) if "name" in change else None)
