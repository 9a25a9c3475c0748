"""LFM2: what its configuration says, and what of a checkpoint's is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from model.test_checkpoint import with_config
from model.test_config import written

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.model import Config
from bitwright.model.conversion.checkpoint import Checkpoint

LFM2, LFM2_MOE = "lfm2-tied", "lfm2-moe-tied"


@pytest.mark.parametrize("architecture", ["lfm2", "lfm2moe"])
def test_most_layers_of_lfm2_convolve(tmp_path: Path, architecture: str) -> None:
    config = Config.from_gguf(written(tmp_path, architecture))
    assert [layer.kind == "attention" for layer in config.layers] == [index in (2, 4) for index in range(7)]
    assert (config.taps, config.kv_heads, config.head_dim) == (3, 2, 16)
    for taps in (1, 17):
        with pytest.raises(FileFormatError, match=f"{architecture}.shortconv.l_cache to be a whole number from 2 to"):
            Config.from_gguf(written(tmp_path, architecture, shortconv__l_cache=taps))
    with pytest.raises(FileFormatError, match="shortconv.l_cache .*no such key"):
        Config.from_gguf(written(tmp_path, architecture, drop="shortconv.l_cache"))


def test_only_dense_lfm2_has_windows(tmp_path: Path) -> None:
    windowed = {"attention.sliding_window": 9, "attention.sliding_window_pattern": 2}
    assert set(Config.from_gguf(written(tmp_path, "lfm2", **windowed)).windows) == {9, None}
    assert set(Config.from_gguf(written(tmp_path, "lfm2moe", **windowed)).windows) == {None}


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        (LFM2, {"conv_bias": True}, "conv_bias of bool True is not supported"),
        (LFM2, {"layer_types": ["conv", "sliding_attention"] * 2 + ["conv"]}, "layers of sliding_attention is not"),
        (LFM2, {"layer_types": ..., "full_attn_idxs": [1]}, r"layers.3.conv.conv.weight of shape .96, 1, 3., got"),
        (LFM2, {"tie_word_embeddings": False}, "tie_embedding of bool True is not supported; supported: False"),
        (LFM2, {"block_multiple_of": 64}, r"feed_forward.w1.weight to have shape \(128, 96\), got \(100, 96\)"),
        (LFM2_MOE, {"use_expert_bias": False}, "use_expert_bias of bool False is not supported"),
        (LFM2_MOE, {"norm_topk_prob": False}, "norm_topk_prob of bool False is not supported"),
        (LFM2_MOE, {"routed_scaling_factor": 2.5}, "routed_scaling_factor of number 2.5 is not supported"),
        (LFM2_MOE, {"num_dense_layers": 1}, r"layers.1.feed_forward.gate.weight of shape \(6, 96\), got none"),
    ],
    ids=range(9),
)
def test_checkpoints_of_lfm2_that_ask_for_more_are_refused(
    tmp_path: Path, case: str, changes: dict[str, Any], message: str
) -> None:
    folder = with_config(tiny_checkpoints.write(case, tmp_path / "m"), **changes)
    with pytest.raises(BitwrightError, match=message):
        Checkpoint(folder)
