"""Mixtures of experts: keys that are honoured or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from model.test_config import written

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io.values import Values
from bitwright.model import Config
from bitwright.model.architectures.architecture import Architecture
from bitwright.model.architectures.layers import Layer
from bitwright.model.model import Model
from bitwright.model.routing import scoring


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_used_count", 0), ("expert_used_count", 7), ("expert_feed_forward_length", 0),
        ("expert_gating_func", 2), ("expert_weights_norm", False), ("expert_group_count", 2),
        ("expert_shared_count", 1), ("expert_weights_scale", -1.0),
    ],
)  # fmt: skip
def test_mixtures_of_another_kind_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"qwen3moe.{key}"):
        Config.from_gguf(written(tmp_path, "qwen3moe", **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_gating_func", 2), ("expert_weights_norm", True), ("expert_group_count", 2), ("expert_shared_count", 2),
        ("expert_shared_feed_forward_length", 0), ("leading_dense_block_count", 1),
    ],
)  # fmt: skip
def test_other_experts_than_qwen2_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"qwen2moe.{key}"):
        Config.from_gguf(written(tmp_path, "qwen2moe", **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("expert_gating_func", 2), ("expert_weights_norm", False), ("expert_shared_count", 1), ("rope.unknown", 1.0)],
)
def test_other_experts_than_gpt_oss_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"gpt-oss.{key}"):
        Config.from_gguf(written(tmp_path, "gpt-oss", **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_gating_func", 1), ("expert_weights_norm", False), ("expert_group_count", 2),
        ("expert_shared_count", 0), ("expert_shared_feed_forward_length", 64),
    ],
)  # fmt: skip
def test_other_experts_than_glm_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"glm4moe.{key}"):
        Config.from_gguf(written(tmp_path, "glm4moe", **{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_gating_func", 3), ("expert_weights_norm", False), ("expert_group_count", 4),
        ("expert_group_used_count", 4), ("expert_used_count", 5), ("expert_shared_count", 0),
        ("expert_shared_feed_forward_length", 64),
    ],
)  # fmt: skip
def test_other_experts_than_deepseek_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    key_said = "expert_group_used_count" if key == "expert_used_count" else key  # two groups of two hold no five
    with pytest.raises(BitwrightError, match=f"deepseek2.{key_said}"):
        Config.from_gguf(written(tmp_path, "deepseek2", **{key: value}))


def test_how_deepseek_scores_experts(tmp_path: Path) -> None:
    """llama.cpp's default is a softmax, except for GLM 4.7 Flash, which it knows by its layers and tokens."""
    config = Config.from_gguf(written(tmp_path, "deepseek2"))
    assert (config.expert_scoring, config.expert_groups, config.expert_groups_used) == ("sigmoid", 3, 2)
    plain = written(tmp_path, "deepseek2", drop="expert_gating_func")
    assert Config.from_gguf(plain).expert_scoring == "softmax"
    soft = written(tmp_path, "deepseek2", drop="expert_weights_norm", expert_gating_func=1)
    assert Config.from_gguf(soft).expert_scoring == "share"
    shape = Architecture("deepseek2", (Layer("latent"),) * 47 + (Layer("prediction"),), 0, 0, 154880, 0, 64, 4)
    values = Values({"deepseek2.expert_weights_norm": True}, None, "deepseek2")
    assert scoring(values, shape) == "sigmoid"
    assert scoring(values, replace(shape, vocabulary=154881)) == "softmax"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_gating_func", 1), ("expert_weights_norm", False), ("expert_weights_scale", 2.0),
        ("expert_group_count", 2), ("expert_shared_count", 1),
    ],
)  # fmt: skip
def test_other_experts_than_lfm2_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"lfm2moe.{key}"):
        Config.from_gguf(written(tmp_path, "lfm2moe", **{key: value}))


def test_layers_of_lfm2_are_dense_then_mixtures(tmp_path: Path) -> None:
    model = Model.from_gguf(written(tmp_path, "lfm2moe"))
    assert (model.config.leading_dense, model.config.expert_scoring) == (2, "sigmoid")
    biases = [op.weights for op in model.step.ops if op.kind == "route"]
    assert biases == [(f"blk.{layer}.exp_probs_b.bias",) for layer in range(2, 7)]


def test_glm_says_that_weights_sum_to_one(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="glm4moe.expert_weights_norm to be true, got no such key"):
        Config.from_gguf(written(tmp_path, "glm4moe", drop="expert_weights_norm"))


def test_layers_of_glm_are_dense_then_mixtures_and_the_last_predicts(tmp_path: Path) -> None:
    model = Model.from_gguf(written(tmp_path, "glm4moe"))
    config, attentions = model.config, [op.layer for op in model.step.ops if op.kind == "attention"]
    assert [layer.kind for layer in config.layers] == ["attention"] * 6 + ["prediction"]
    assert (config.leading_dense, config.shared_feed_forward, config.expert_scoring) == (2, 64, "sigmoid")
    assert attentions == [0, 1, 2, 3, 4, 5] and len(model.step.borders) == 6
    assert sum(op.kind == "route" for op in model.step.ops) == 4


def test_a_mixture_without_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="qwen3moe.expert_count"):
        Config.from_gguf(written(tmp_path, "qwen3moe", expert_count=0, expert_used_count=0))


def test_gpt_oss_stretches_layers_with_a_window_too(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "gpt-oss"))
    assert config.windows == (8, None, 8, None, 8, None, 8)
    assert config.local_rope == config.rope and not config.rope.whole_pairs and config.rope.factor == 4
    config = Config.from_gguf(written(tmp_path, "gpt-oss", rope__freq_base_swa=500.0))
    assert config.local_rope == replace(config.rope, base=500.0)
