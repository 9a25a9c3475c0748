"""A layer with its real inputs: what each way to choose codes costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitwright import formats
from bitwright.io import gguf
from bitwright.measure.layer import Layer, early_layer
from bitwright.model.model import Model


@pytest.fixture(scope="module")
def layer(stories260k: Path) -> Layer:
    return early_layer(Model.from_gguf(gguf.open(stories260k)), threads=1)


def test_inputs_are_the_models(layer: Layer, stories260k: Path) -> None:
    assert layer.name == "blk.0.attn_q.weight" and layer.weights.shape == (64, 64)
    assert layer.read.shape == (1024, 64) and layer.held_out.shape == (256, 64)
    norm = gguf.open(stories260k).tensor("blk.0.attn_norm.weight").data.view(np.float32)
    assert np.square(layer.read / norm).mean(axis=1) == pytest.approx(np.ones(1024), abs=1e-2)  # they come from a norm


def test_each_method_is_best_at_what_it_aims_for(layer: Layer) -> None:
    errors = layer.errors(layer.encoded(formats.get("q4_0")))
    assert set(errors) == {"rtn", "search", "importance", "feedback"}
    assert min(errors, key=lambda m: errors[m]["weights"]) == "search"
    assert min(errors, key=lambda m: errors[m]["read"]) == "feedback"
    assert errors["importance"]["read"] < errors["search"]["read"]


def test_errors_are_shares(layer: Layer) -> None:
    nothing = layer.errors({"none": layer.weights, "all": np.zeros_like(layer.weights)})
    assert list(nothing["none"].values()) == [0, 0, 0]
    assert list(nothing["all"].values()) == pytest.approx([1, 1, 1])
    one = layer.of_row(3)
    assert one.weights.shape == (1, 64) and one.read is layer.read
