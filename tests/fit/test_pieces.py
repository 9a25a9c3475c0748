"""What a search reads: chunks spread over the whole text, in two halves, none of which statistics read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bitwright.calibration import texts
from bitwright.fit import gathering
from bitwright.model.model import load


def test_each_half_is_spread_over_all_of_the_text(stories260k: Path, data: Path) -> None:
    text = ("search", (data / "text/tinystories/tiny.utf8").read_text()[:60000])
    model = load(stories260k)
    pieces = gathering.cut(model, [text])
    whole = texts.cut(model, [text], min(gathering.GATHERED, model.config.context), None)
    places = [int(np.flatnonzero((whole[:, : pieces.searched.shape[1]] == own).all(axis=1))[0])
              for own in pieces.searched]  # fmt: skip
    half = (len(places) + 1) // 2
    assert len(set(places)) == len(places) > 10
    assert np.array_equal(pieces.raced, pieces.searched[:half])
    for found in (places[:half], places[half:]):
        assert sorted(found) != found
        assert set(np.diff(sorted(found))) == {2 * gathering.EVERY}
    gathered = {row.tobytes() for row in pieces.gathered}
    assert not gathered & {row.tobytes() for row in whole[places]}


@pytest.mark.parametrize(("parameters", "chunks"), [(10**6, 192), (134 * 10**6, 192), (8 * 10**8, 48), (10**10, 24)])
def test_larger_models_read_fewer_chunks(parameters: int, chunks: int) -> None:
    model: Any = SimpleNamespace(parameters=parameters)
    assert gathering.most(model) == chunks
