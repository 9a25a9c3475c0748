"""Gemma 4: what its configuration says of layers, and tensors that nothing reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import synthetic_model
from model.test_config import written
from model.test_forward import synthetic

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import gguf
from bitwright.model import Config
from bitwright.model.model import Model


def test_layers_of_gemma4_differ(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "gemma4"))
    assert config.windows == (8, 8, None, 8, None, 8, None)
    assert [(layer.kv_heads, layer.key_dim, layer.source) for layer in config.layers[3:]] == [
        (2, 16, None), (1, 32, None), (2, 16, 3), (1, 32, 4),
    ]  # fmt: skip
    assert (config.rope.dim, config.rope.base, config.local_rope.dim, config.local_rope.base) == (32, 1e6, 16, 5000)
    assert config.feed_forwards == (96,) * 5 + (192,) * 2
    assert (config.per_layer, config.attention_scale, config.final_softcap) == (12, 1, 3)
    with pytest.raises(FileFormatError, match="layer 5 to attend: .* a tensor blk.5.attn_k.weight"):
        Config.from_gguf(written(tmp_path, "gemma4", attention__shared_kv_layers=0))
    with pytest.raises(FileFormatError, match="4 heads to share the key-value heads evenly, got 3"):
        Config.from_gguf(written(tmp_path, "gemma4", attention__head_count_kv=[2, 2, 1, 3, 1, 2, 1]))
    with pytest.raises(FileFormatError, match="rope.dimension_count_swa to be an even number"):
        Config.from_gguf(written(tmp_path, "gemma4", rope__dimension_count_swa=15))
    with pytest.raises(FileFormatError, match="feed_forward_length to be 7 whole numbers from 1"):
        Config.from_gguf(written(tmp_path, "gemma4", feed_forward_length=[96] * 6 + [0]))
    with pytest.raises(BitwrightError, match=r"the key gemma4\.attention\.scale"):
        Config.from_gguf(written(tmp_path, "gemma4", attention__scale=0.5))
    with pytest.raises(FileFormatError, match="shared_kv_layers to be None in every layer, got 5 in layer 6"):
        Config.from_gguf(written(tmp_path, attention__shared_kv_layers=1))


def test_keys_of_layers_that_use_those_of_others_are_not_read(tmp_path: Path) -> None:
    """Published files of Gemma 4 have them."""
    metadata, weights = synthetic("gemma4")
    step = Model.from_gguf(gguf.open(synthetic_model.write(tmp_path / "m.gguf", metadata, weights))).step
    unread = {f"blk.6.attn_{name}.weight": np.ones(shape) for name, shape in (("k", (32, 64)), ("k_norm", (32,)))}
    more = Model.from_gguf(gguf.open(synthetic_model.write(tmp_path / "more.gguf", metadata, weights | unread))).step
    assert [str(op) for op in more.ops] == [str(op) for op in step.ops]
