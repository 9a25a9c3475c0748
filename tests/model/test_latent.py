"""Latent attention: what is read from a file, and what is refused in files and checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import synthetic_latent
import synthetic_model
import tiny_checkpoints
from checkpoint_configs import CASES
from model.test_checkpoint import with_config
from model.test_config import written

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import gguf
from bitwright.model import Config
from bitwright.model.architectures.layers import Layer
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.model import Model

DEEPSEEK2, DEEPSEEK3 = "deepseek-v2-untied-yarn", "deepseek-v3-untied-groups"
GLM_FLASH = "glm4-moe-lite-untied-predicting"
MSCALE = CASES[DEEPSEEK3]["rope_scaling"]


def test_deepseek_attends_to_latent_vectors(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "deepseek2", **synthetic_latent.YARN))
    assert config.layers[0] == Layer("latent", 4, 1, 48, latent_rank=40) and config.layers[6].kind == "prediction"
    assert config.latent is not None
    assert (config.latent.rank, config.latent.query_rank) == (40, 24)
    assert (config.latent.plain, config.latent.value) == (12, 20)
    assert config.rope.magnitude == 1
    assert config.attention_scale == pytest.approx((1 + 0.0707 * math.log(4)) ** 2 / math.sqrt(20), rel=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attention.kv_lora_rank", 32, "deepseek2.rope.dimension_count to be the 16 values after a latent vector"),
        ("attention.key_length_mla", 8, "deepseek2.attention.key_length_mla to be"),
        ("attention.value_length_mla", 0, "deepseek2.attention.value_length_mla to be"),
        ("attention.q_lora_rank", 20, r"blk.0.attn_q_a.weight to have shape \(20, 64\)"),
        ("attention.temperature_scale", 0.1, "attention.temperature_scale"),
        ("rope.scaling.type", "yarn", None),
    ],
)
def test_latent_vectors_that_do_not_fit_are_refused(
    tmp_path: Path, key: str, value: object, message: str | None
) -> None:
    file = written(tmp_path, "deepseek2", **{key: value}, **{"rope__scaling__factor": 4.0} if message is None else {})
    with pytest.raises(BitwrightError, match=message or "deepseek2.rope.scaling.yarn_log_multiplier to be a number"):
        Model.from_gguf(file)


def test_a_file_with_one_matrix_for_keys_and_values_is_refused(tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of("deepseek2")
    weights = synthetic_model.weights_of(metadata)
    weights["blk.1.attn_kv_b.weight"] = weights.pop("blk.1.attn_k_b.weight")
    file = gguf.open(synthetic_model.write(tmp_path / "old.gguf", metadata, weights))
    with pytest.raises(FileFormatError, match=r"tensors blk.1.attn_k_b and attn_v_b \(files of before April 2025 have"):
        Config.from_gguf(file)


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        (DEEPSEEK2, {"topk_method": "group_limited_greedy"}, "topk_method of string 'group_limited_greedy' is not"),
        (DEEPSEEK2, {"n_group": 2}, "n_group of integer 2 is not supported; supported: 1"),
        (DEEPSEEK2, {"norm_topk_prob": True}, "norm_topk_prob of bool True is not supported; supported: False"),
        (DEEPSEEK2, {"scoring_func": "sigmoid"}, "scoring_func of string 'sigmoid' is not"),
        (DEEPSEEK3, {"scoring_func": "softmax"}, "scoring_func of string 'softmax' is not"),
        (DEEPSEEK3, {"rope_interleave": False}, "rope_interleave of bool False is not supported"),
        (DEEPSEEK3, {"attention_bias": True}, "attention_bias of bool True is not supported"),
        (DEEPSEEK3, {"num_key_value_heads": 2}, "num_key_value_heads of integer 2 is not supported; supported: 6"),
        (DEEPSEEK3, {"rope_scaling": MSCALE | {"mscale": 0.7}}, "YaRN without mscale and mscale_all_dim is not"),
        (DEEPSEEK3, {"rope_scaling": MSCALE | {"mscale_all_dim": None}}, "YaRN without mscale and mscale_all_dim is"),
        (DEEPSEEK3, {"rope_scaling": MSCALE | {"attention_factor": 1.0}}, "attention_factor of number 1.0 is not"),
        (DEEPSEEK3, {"v_head_dim": 24}, r"kv_b_proj.weight to have shape \(288, 48\), got \(336, 48\)"),
        (GLM_FLASH, {"first_k_dense_replace": 2}, "first_k_dense_replace of integer 2 is not supported; supported: 1"),
        (GLM_FLASH, {"mlp_layer_types": ["sparse"] * 3}, "mlp_layer_types of array of 3 string: 'sparse', "),
    ],
    ids=range(14),
)
def test_checkpoints_that_ask_for_more_are_refused_by_name(
    tmp_path: Path, case: str, changes: dict[str, Any], message: str
) -> None:
    folder = with_config(tiny_checkpoints.write(case, tmp_path / "m"), **changes)
    with pytest.raises(BitwrightError, match=message):
        Checkpoint(folder)
