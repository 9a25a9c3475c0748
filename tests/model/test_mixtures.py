"""Mixtures of experts: keys that are honoured or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from model.test_config import written

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.model import Config


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
    [("expert_gating_func", 2), ("expert_weights_norm", False), ("expert_shared_count", 1), ("rope.unknown", 1.0)],
)
def test_other_experts_than_gpt_oss_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BitwrightError, match=f"gpt-oss.{key}"):
        Config.from_gguf(written(tmp_path, "gpt-oss", **{key: value}))


def test_a_mixture_without_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="qwen3moe.expert_count"):
        Config.from_gguf(written(tmp_path, "qwen3moe", expert_count=0, expert_used_count=0))


def test_gpt_oss_stretches_layers_with_a_window_too(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "gpt-oss"))
    assert config.windows == (8, None, 8, None, 8, None, 8)
    assert config.local_rope == config.rope and not config.rope.whole_pairs and config.rope.factor == 4
    config = Config.from_gguf(written(tmp_path, "gpt-oss", rope__freq_base_swa=500.0))
    assert config.local_rope == replace(config.rope, base=500.0)
