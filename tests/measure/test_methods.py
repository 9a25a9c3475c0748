"""A whole model in one format by each method: better choices of codes give back the next token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitwright import formats
from bitwright.io import gguf
from bitwright.measure import methods
from bitwright.model.model import Model
from bitwright.views import methods as view


def test_better_codes_stay_closer(stories260k: Path) -> None:
    model = Model.from_gguf(gguf.open(stories260k))
    q4_0 = formats.get("q4_0")
    assert methods.weights(model, q4_0) == sum(model.tensors[n].data.size // 4 for n in methods.matrices(model, q4_0))
    found = methods.by_method(model, q4_0, threads=1)
    assert list(found.divergence) == ["rtn", "search", "importance", "feedback"]
    means = [values.mean() for values in found.divergence.values()]
    assert all(mean > 0 for mean in means) and means[3] < 0.8 * means[0]
    chances = found.chances["reference"]
    assert (np.diff(chances, axis=1) <= 0).all() and (chances.sum(axis=1) <= 1 + 1e-9).all()


def test_the_view(stories260k: Path) -> None:
    file = gguf.open(stories260k)
    found = view.methods(file, 1)
    assert found["format"] == view.available(file)["format"] == "q4_0"
    assert len(found["places"]) == len(found["tokens"]) - found["first"]
    mean = np.mean([place["divergence"]["rtn"] for place in found["places"]])
    assert found["divergence"]["rtn"] == pytest.approx(mean)


def test_too_large_a_model_is_said(stories260k: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "MOST", 1000)
    found = view.available(gguf.open(stories260k))
    assert found["format"] is None and "takes too long" in found["problem"]
