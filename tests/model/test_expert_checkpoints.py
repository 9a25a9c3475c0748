"""Checkpoints of mixtures: a tensor for each expert, or one for all; what is refused, and codes that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from model.test_checkpoint import GLM_MOE, GPT_OSS, QWEN_MOE, with_config, with_tensors
from model.test_latent import GLM_FLASH

from bitwright.engine import Engine
from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError
from bitwright.io import gguf
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.model import Model
from bitwright.quantizers import quantize


def test_experts_are_all_there_and_of_one_type(tmp_path: Path) -> None:
    folder, expert = tiny_checkpoints.write(QWEN_MOE, tmp_path / "m"), "model.layers.1.mlp.experts.4.up_proj.weight"

    def remove(tensors: dict[str, np.ndarray]) -> None:
        del tensors[expert]

    def widen(tensors: dict[str, np.ndarray]) -> None:
        tensors[expert] = tensors[expert].astype(np.float32)

    with pytest.raises(FileFormatError, match=rf"a tensor {expert} of shape \(40, 96\), got none"):
        Checkpoint(with_tensors(folder, QWEN_MOE, remove))
    with pytest.raises(
        FileFormatError, match=rf"{expert} to be bfloat16, as \S+experts.0.up_proj.weight is, got float32"
    ):
        Checkpoint(with_tensors(folder, QWEN_MOE, widen))


@pytest.mark.parametrize(
    ("key", "value", "got"),
    [
        ("norm_topk_prob", True, "bool True"), ("qkv_bias", False, "bool False"),
        ("tie_word_embeddings", True, "bool True"), ("mlp_only_layers", [1], "array of 1 integer: 1"),
        ("decoder_sparse_step", 2, "integer 2"),
    ],
)  # fmt: skip
def test_other_experts_than_qwen2_has_are_refused(tmp_path: Path, key: str, value: object, got: str) -> None:
    folder = with_config(tiny_checkpoints.write("qwen2-moe-untied", tmp_path / "m"), **{key: value})
    with pytest.raises(UnsupportedError, match=f"{key} of {got} is not supported"):
        Checkpoint(folder)


@pytest.mark.parametrize(("case", "architecture"), [(GLM_MOE, "glm4moe"), (GLM_FLASH, "deepseek2")])
def test_a_layer_that_predicts_is_kept_or_may_be_missing(tmp_path: Path, case: str, architecture: str) -> None:
    """Older checkpoints have copies of the embedding and the head in it."""
    folder, copy = tiny_checkpoints.write(case, tmp_path / "m"), "model.layers.3.shared_head.head.weight"
    whole = Checkpoint(folder)
    assert whole.metadata[f"{architecture}.block_count"] == 4
    assert whole.metadata[f"{architecture}.nextn_predict_layers"] == 1
    assert [name for name in whole.tensors if ".nextn." in name and name.startswith("blk.3.")] == [
        f"blk.3.nextn.{name}.weight" for name in ("eh_proj", "enorm", "hnorm", "shared_head_norm")
    ]
    expected = Engine(Model.from_gguf(whole)).session().logits(tiny_checkpoints.IDS)

    def more(tensors: dict[str, np.ndarray]) -> None:
        tensors[copy] = tensors["lm_head.weight"]

    assert "blk.3.nextn.shared_head_head.weight" in Checkpoint(with_tensors(folder, case, more)).tensors

    def remove(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if name.startswith("model.layers.3.")]:
            del tensors[name]

    left = Checkpoint(with_tensors(folder, case, remove))
    assert left.metadata[f"{architecture}.block_count"] == 3
    assert f"{architecture}.nextn_predict_layers" not in left.metadata
    got = Engine(Model.from_gguf(left)).session().logits(tiny_checkpoints.IDS)
    np.testing.assert_array_equal(got, expected)


STEM = "model.layers.1.mlp.experts.gate_up_proj"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"{STEM}_scales": None}, rf"a tensor {STEM}_scales of shape \(6, 128, 3\), got none"),
        ({f"{STEM}_scales": np.zeros((6, 128, 2), "V1")}, r"shape \(6, 128, 3\), got U8 of shape \(6, 128, 2\)"),
        (
            {f"{STEM}_blocks": np.zeros((6, 128, 3, 8), "V1")},
            "U8, 16 bytes of codes for a scale, got U8 and U8, 8",
        ),
        ({f"{STEM}_blocks": np.zeros((6, 128, 48), "V1")}, f"a tensor {STEM}_blocks of 4 dimensions, got U8 of shape"),
        ({f"{STEM}_bias": np.zeros((6, 128), np.int32)}, f"{STEM}_bias of type I32 is not supported; supported: F32"),
        ({f"{STEM}_bias": None}, r"experts.gate_proj.bias of shape \(6, 64\), got none"),
    ],
    ids=range(6),
)
def test_experts_in_one_tensor_are_checked(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    def change(tensors: dict[str, np.ndarray]) -> None:
        for name, values in changes.items():
            del tensors[name]
            if values is not None:
                tensors[name] = values

    folder = tiny_checkpoints.write(GPT_OSS, tmp_path / "m")
    with pytest.raises(BitwrightError, match=message):
        Checkpoint(with_tensors(folder, GPT_OSS, change))


def test_experts_in_mxfp4_keep_their_codes(tmp_path: Path) -> None:
    """The scales and the codes of a file of MXFP4 are the checkpoint's, gate and up its even and odd rows."""
    folder, target = tiny_checkpoints.write(GPT_OSS, tmp_path / "m"), tmp_path / "m.gguf"
    quantize(folder, "mxfp4_moe", target)
    stored = tiny_checkpoints.weights(json.loads((folder / "config.json").read_text()), "BF16")
    file = gguf.open(target)
    for layer in range(4):
        for name, of, rows in (("gate", "gate_up", slice(0, None, 2)), ("up", "gate_up", slice(1, None, 2)),
                               ("down", "down", slice(None))):  # fmt: skip
            stem = f"model.layers.{layer}.mlp.experts.{of}_proj"
            codes, scales = (stored[f"{stem}_{part}"].view(np.uint8)[:, rows] for part in ("blocks", "scales"))
            found = file.tensor(f"blk.{layer}.ffn_{name}_exps.weight")
            assert found.format.name == "mxfp4" and found.shape == (*codes.shape[:2], 32 * codes.shape[2])
            blocks = found.data.reshape(*scales.shape, 17)
            np.testing.assert_array_equal(blocks[..., 0], scales)
            both = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*scales.shape, 32)
            np.testing.assert_array_equal(blocks[..., 1:] & 15, both[..., :16])
            np.testing.assert_array_equal(blocks[..., 1:] >> 4, both[..., 16:])
    assert file.tensors["blk.0.attn_q.weight"].format.name == "q8_0"
