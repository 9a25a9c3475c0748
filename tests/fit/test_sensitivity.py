"""Costs of formats: the scale of layer errors on a model of one layer, and measuring with a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_model

from bitwright import formats
from bitwright.calibration.second_moments import gather
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.palette import Palette
from bitwright.fit.sensitivity import layer_costs, measured_costs
from bitwright.kernels.tape import Tape
from bitwright.model.model import Model, load
from bitwright.quantizers.quantizer import Quantizer

Q8, Q4, F32 = (formats.get(name) for name in ("q8_0", "q4_0", "f32"))
TENSORS = ("token_embd.weight", "blk.0.attn_output.weight", "blk.0.ffn_down.weight", "output.weight")
CONTEXT = 32
IDS = np.random.default_rng(0).integers(0, synthetic_model.VOCABULARY, 30 * CONTEXT).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return one_layer("llama", tmp_path_factory.mktemp("model"))


def one_layer(architecture: str, folder: Path) -> Model:
    metadata = synthetic_model.metadata_of(architecture, block_count=1)
    weights = synthetic_model.weights_of(metadata, tied=False)
    model = load(synthetic_model.write(folder / "m.gguf", metadata, weights))
    model.__dict__["tokenizer"] = SimpleNamespace(add_bos=False, bos=None)
    return model


def divergence(model: Model, changed: dict[str, np.ndarray]) -> float:
    """The mean KL divergence in nats per token when some weights are replaced, in float64."""
    weights = {name: tensor.dequantize().astype(np.float64) for name, tensor in model.tensors.items()}

    def predictions(weights: dict[str, np.ndarray]) -> np.ndarray:
        tape = Tape(
            model.step, weights, lambda name, rows: weights[name][slice(None) if rows is None else rows], np.float64
        )
        pieces = np.array(IDS).reshape(-1, CONTEXT)
        logits = np.stack([np.concatenate([part for _, part in tape.logits(piece)]) for piece in pieces])
        logits -= logits.max(axis=-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

    before, after = predictions(weights), predictions(weights | changed)
    return float((np.exp(before) * (before - after)).sum(axis=-1).mean())


def test_layer_errors_predict_the_divergence(model: Model, tmp_path: Path) -> None:
    """On a random model of one layer, where errors of rows and tokens are as good as independent."""
    predict(model, TENSORS, tmp_path)


def test_layer_errors_of_experts_predict_the_divergence(tmp_path: Path) -> None:
    """A token sees the errors of the experts that it takes. Errors before the router also change its choice."""
    predict(one_layer("qwen3moe", tmp_path), ("blk.0.ffn_down_exps.weight", "output.weight"), tmp_path)


def predict(model: Model, tensors: tuple[str, ...], tmp_path: Path) -> None:
    statistics = gather(model, [("ids", IDS)], tmp_path / "s.gguf", CONTEXT)
    palette = Palette(model.opened(), Quantizer(statistics=statistics), tmp_path / "palette")
    allowed = np.array([[True, True, True]] * len(tensors))
    allowed[0, 1] = False
    costs = layer_costs(palette, tensors, [Q8, Q4, F32], allowed)
    assert np.isinf(costs[0, 1]) and (costs[:, 2] == 0).all()
    for name, found in zip(tensors, costs[:, 0], strict=True):
        changed = palette.tensor(name, Q8).dequantize().astype(np.float64)
        assert found == pytest.approx(divergence(model, {name: changed}), rel=0.25), name


class Additive:
    """A scorer of three tensors in three formats whose costs add up, but for two that make up for each other."""

    chunks = 4

    def __init__(self) -> None:
        self.calls: list[tuple[int, Levels]] = []

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> np.ndarray:
        self.calls += [(len(candidates), parent)]
        return np.array([[sum(own) + 10 - (own[0] == own[1] == 2) + chunk for chunk in chunks] for own in candidates])


CHOICES = Choices(
    ("a", "b", "c"), (Q4, Q8, F32), np.array([[1, 2, 4], [1, 2, 4], [1, 0, 4]]), np.zeros((3, 3))
)  # fmt: skip


def test_costs_are_measured_against_the_base() -> None:
    scorer, reported = Additive(), []
    costs = measured_costs(scorer, CHOICES, (2, 1, 0), [0, 3], progress=lambda *told: reported.append(told))
    np.testing.assert_allclose(costs, [[-2, -1, 0], [-1, 0, 0], [0, np.nan, 2]])
    assert all(parent == (2, 1, 0) for _, parent in scorer.calls)
    assert reported == [(1, 3, "a"), (2, 3, "b"), (3, 3, "c")]


def test_only_probes_are_measured() -> None:
    scorer = Additive()
    probes = np.zeros((3, 3), bool)
    probes[1, 2] = probes[2, 1] = True  # the last is not allowed
    costs = measured_costs(scorer, CHOICES, (0, 0, 0), [1], probes)
    np.testing.assert_allclose(costs, [[0, np.nan, np.nan], [0, np.nan, 2], [0, np.nan, np.nan]])
    assert [count for count, _ in scorer.calls] == [1, 1]
