"""Mixtures of experts: keys that are honoured or refused."""

from __future__ import annotations

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


def test_a_mixture_without_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="qwen3moe.expert_count"):
        Config.from_gguf(written(tmp_path, "qwen3moe", expert_count=0, expert_used_count=0))
