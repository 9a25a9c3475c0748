"""Statistics of experts: each has those of its own tokens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic_mamba
import synthetic_model
from synthetic_mixture import EXPERT_FEED_FORWARD, EXPERTS, EXPERTS_USED, WIDTH

from bitwright.calibration import labels, read
from bitwright.calibration import second_moments as gathering
from bitwright.calibration.importance import calibrate
from bitwright.calibration.second_moments import gather
from bitwright.kernels.tape import Tape
from bitwright.model.model import Model, load

TEXTS = [("a", [*b"abcdefgh" * 8])]


every = pytest.mark.parametrize("architecture", ["qwen3moe", "granitehybrid", "lfm2moe"])


def mixture(folder: Path, architecture: str) -> tuple[Model, dict[str, np.ndarray]]:
    """A small model with random weights, and these."""
    more = synthetic_mamba.MIXTURE if architecture == "granitehybrid" else {}
    metadata = synthetic_model.metadata_of(architecture, **more)
    weights = synthetic_model.weights_of(metadata)
    model = load(synthetic_model.write(folder / "m.gguf", metadata, weights))
    model.__dict__["tokenizer"] = SimpleNamespace(add_bos=False, bos=None)
    return model, weights


@every
def test_every_expert_has_moments_of_its_own_tokens(tmp_path: Path, architecture: str) -> None:
    """Direct sums over the tokens that chose an expert, weighed by its own gradients; nothing of the other tokens."""
    model, weights = mixture(tmp_path, architecture)
    found = gather(model, TEXTS, tmp_path / "s.gguf", 64)
    seen = visited(model, weights)
    x, choices, _ = seen["blk.3.ffn_down_exps.weight"]
    used, ff = EXPERTS_USED, EXPERT_FEED_FORWARD
    chosen = choices[:, :used].astype(int)
    for names, inputs in (
        (("ffn_gate_exps", "ffn_up_exps"), np.repeat(seen["blk.3.ffn_up_exps.weight"][0][:, None], used, axis=1)),
        (("ffn_down_exps",), x.reshape(-1, used, ff)),
    ):
        own = [f"blk.3.{name}.weight" for name in names]
        f = sum((seen[name][2].reshape(64, used, -1) ** 2).sum(axis=2) for name in own)
        for expert in range(EXPERTS):
            at = chosen == expert
            assert found.tokens(own[0])[expert] == at.sum()
            moment = np.einsum("s,si,sj->ij", f[at], inputs[at], inputs[at]) / max(f[at].sum(), 1e-30)
            got = found.hessian(own[0])[expert]
            np.testing.assert_allclose(got, moment, rtol=1e-3, atol=1e-5 * np.abs(moment).max())
            sums = (inputs[at].astype(np.float64) ** 2).sum(axis=0)
            np.testing.assert_allclose(found.squares[own[0]].sums[expert], sums, rtol=1e-4)
    assert found.sensitivity("blk.3.ffn_down_exps.weight").shape == (EXPERTS, WIDTH)


def visited(model: Model, weights: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, ...]]:
    """The inputs, choices and gradients of every product with several matrices."""
    tape = Tape(model.step, weights, lambda name, rows: weights[name] if rows is None else weights[name][rows])
    seen: dict[str, tuple[Any, ...]] = {}

    def visit(op: Any, inputs: list[np.ndarray], gradient: np.ndarray) -> None:
        if op.kind == "experts":
            seen[op.weight] = (*inputs, gradient)

    (piece,) = gathering.cut(model, TEXTS, 64, None)
    tape.gradients(piece, labels.sampled(0, 0, 64), visit)
    return seen


@pytest.mark.parametrize("name", ["blk.1.attn_k_b.weight", "blk.1.attn_v_b.weight"])
def test_every_head_has_moments_of_its_own(tmp_path: Path, name: str) -> None:
    """Of a layer with latent attention, whose heads have a matrix each."""
    model, weights = mixture(tmp_path, "deepseek2")
    found = gather(model, TEXTS, tmp_path / "s.gguf", 64)
    x, _, gradient = visited(model, weights)[name]
    inputs, f = x.reshape(64, 4, -1), (gradient.reshape(64, 4, -1) ** 2).sum(axis=2)
    for head in range(4):
        assert found.tokens(name)[head] == 64
        moment = np.einsum("t,ti,tj->ij", f[:, head], inputs[:, head], inputs[:, head]) / f[:, head].sum()
        np.testing.assert_allclose(found.hessian(name)[head], moment, rtol=1e-3, atol=1e-5 * np.abs(moment).max())


@every
def test_calibrate_counts_what_every_expert_gets(tmp_path: Path, architecture: str) -> None:
    """As `gather` does, up to the float16 cache; the file has a row for each expert, as llama.cpp's."""
    model, _ = mixture(tmp_path, architecture)
    expected = gather(model, TEXTS, tmp_path / "s.gguf", 32, fisher=False)
    calibrate(model, TEXTS, 32, output=tmp_path / "i.gguf")
    found = read(tmp_path / "i.gguf")
    experts, used = EXPERTS, EXPERTS_USED
    for name, own in expected.squares.items():
        assert (found.squares[name].counts == own.counts).all(), name
        np.testing.assert_allclose(found.squares[name].sums, own.sums, rtol=2e-2, atol=1e-3 * own.sums.max())
        if "_exps" in name:
            assert own.sums.shape == (experts, model.tensors[name].shape[2]) and own.counts.sum() == 64 * used
