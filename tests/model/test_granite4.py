"""Granite 4: what its configuration says, and what of a checkpoint's is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_mamba
import tiny_checkpoints
from model.test_checkpoint import with_config
from model.test_config import written

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.model import Config
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.delta_net import DeltaNet


def test_layers_are_mamba_or_attend(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "granitehybrid"))
    assert [layer.kind for layer in config.layers] == ["recurrent", "recurrent", "attention"] * 2 + ["recurrent"]
    assert config.delta == DeltaNet(taps=4, key_heads=2, key_dim=16, heads=4, value_dim=32)
    assert [layer.state_bytes for layer in config.layers[1:3]] == [4 * (3 * (128 + 2 * 2 * 16) + 16 * 128), 0]
    assert (config.embedding_scale, config.residual_scale, config.logit_scale) == (6, np.float32(0.22), 0.5)
    assert not config.rotates and (config.experts, config.feed_forward) == (0, 96)
    with pytest.raises(FileFormatError, match="ssm.group_count to be a divisor of 4 heads"):
        Config.from_gguf(written(tmp_path, "granitehybrid", ssm__group_count=3))


def test_experts_have_the_length_of_feed_forwards(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "granitehybrid", **synthetic_mamba.MIXTURE))
    assert (config.experts, config.experts_used) == (6, 3)
    assert (config.expert_feed_forward, config.shared_feed_forward) == (32, 40)
    with pytest.raises(BitwrightError, match="the key granitehybrid.expert_gating_func"):
        Config.from_gguf(written(tmp_path, "granitehybrid", expert_gating_func=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_step_limit": [0.0, 0.1]}, "time_step_limit of array of 2 number: 0.0, 0.1 is not"),
        ({"mamba_proj_bias": True}, "mamba_proj_bias of bool True is not supported; supported: False"),
        ({"mamba_conv_bias": False}, "mamba_conv_bias of bool False is not supported; supported: True"),
        ({"mamba_d_head": 16}, "mamba_d_head of integer 16 is not supported; supported: auto, 32"),
        ({"position_embedding_type": "learned"}, "position_embedding_type of string 'learned' is not"),
        ({"layer_types": ["sliding_attention"] * 4}, "layers of sliding_attention is not supported"),
        (
            {"layer_types": ["attention"] * 4, "num_local_experts": 4, "num_experts_per_tok": 2},
            "experts in layers that are all of attention is not supported; supported: mamba",
        ),
        ({"layer_types": ...}, "layer_types to be a list of layers"),
        ({"mamba_d_conv": 3}, r"conv1d.weight to have shape \(256, 1, 3\), got"),
        ({"num_local_experts": 4, "num_experts_per_tok": 2}, r"router.layer.weight of shape \(4, 96\), got none"),
    ],
    ids=range(10),
)
def test_checkpoints_that_ask_for_more_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = with_config(tiny_checkpoints.write("granite4-tied", tmp_path / "m"), **changes)
    with pytest.raises(BitwrightError, match=message):
        Checkpoint(folder)
