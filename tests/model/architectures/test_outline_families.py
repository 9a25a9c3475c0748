"""Outlines of every family, compared with what llama.cpp loads and with published counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf as reference
import pytest
import tiny

from bitwright import formats
from bitwright.hardware import kv
from bitwright.hardware.memory import compute_bytes
from bitwright.hardware.weights import assign, attention_operations, bytes_per_token, operations_per_token, weight_bytes
from bitwright.model.architectures import published
from bitwright.model.architectures.families import FAMILIES, blueprint
from bitwright.model.architectures.outline import from_blueprint, outline
from bitwright.recipes.roles import is_quantized
from bitwright.recipes.rules import Shape

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))
import snapshots

LLAMA_CPP = json.loads(Path(__file__).with_name("llama_cpp.json").read_text())
SAME = {"gemma3": "gemma3_text", "mistral3": "ministral3", "deepseek_v2": "deepseek_v3", "kimi_k2": "deepseek_v3",
        "qwen3_5_text": "qwen3_5", "qwen3_5_moe_text": "qwen3_5_moe", "gemma3n": "gemma3n_text"}  # fmt: skip


def test_every_family_has_a_tiny_config() -> None:
    assert FAMILIES.keys() == tiny.CONFIGS.keys() | SAME.keys()
    assert all(FAMILIES[family] == FAMILIES[other] for family, other in SAME.items())


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_caches_have_llama_cpps_size(family: str, tmp_path: Path) -> None:
    """llama.cpp loaded this file in benchmarks/families.py, which also proves names and shapes of all tensors."""
    tiny.tiny(family, tmp_path / "tiny.gguf")
    expected = LLAMA_CPP[family]
    got = kv.kv_bytes(outline(tmp_path / "tiny.gguf"), expected["context"]) / (1 << 20)
    assert got == pytest.approx(expected["cache"], abs=0.0051)


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_buffers_have_llama_cpps_size(family: str) -> None:
    """Only Gemma 3n runs its layers in four streams, which is visible only with a small vocabulary."""
    made = blueprint(tiny.config(family, **tiny.wide(family)), family, formats.get("f16"))
    got = compute_bytes(from_blueprint(made, family, "", ""), kv.BATCH) / (1 << 20)
    expected = LLAMA_CPP[family]["buffers"]
    assert got == pytest.approx(expected, rel=0.01) or (family == "gemma3n_text" and got < expected)


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_names_are_those_of_the_gguf_package(family: str) -> None:
    made = blueprint(tiny.config(family), family, formats.get("f16"))
    architectures = {name: number for number, name in reference.MODEL_ARCH_NAMES.items()}
    known = {reference.TENSOR_NAMES[t] for t in reference.MODEL_TENSORS[architectures[made.architecture]]}
    for tensor in made.tensors:
        stem = tensor.name.removesuffix(".weight").removesuffix(".bias").removesuffix(".scale")
        number = stem.split(".")[1] if stem.startswith("blk.") else ""
        assert stem.replace(f"blk.{number}.", "blk.{bid}.") in known, tensor.name


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_the_draft_and_its_file_have_one_outline(family: str, tmp_path: Path) -> None:
    made = tiny.tiny(family, tmp_path / "tiny.gguf")
    drafted, read = from_blueprint(made, family, "", ""), outline(tmp_path / "tiny.gguf")
    for name in ("architecture", "layers", "width", "vocabulary", "heads", "feed_forward", "experts", "experts_used"):
        assert getattr(drafted, name) == getattr(read, name), name
    assert drafted.tensors == read.tensors and drafted.parameters == read.parameters
    assert Shape.of(drafted.metadata) == Shape.of(read.metadata)


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_every_recipe_fits_every_family(family: str) -> None:
    """Each tensor has a format whose blocks divide its rows."""
    unquantized = tiny.config(family, quantization_config=None)
    found = from_blueprint(blueprint(unquantized, family, formats.get("bf16")), family, "", "")
    for recipe in ("q4_k_m", "iq2_xxs", "mxfp4_moe", "q8_0"):
        assignments = assign(found, recipe)
        assert [a.tensor for a in assignments] == [t.name for t in found.tensors]
        assert weight_bytes(assignments) < weight_bytes(assign(found, None))


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [  # as printed by llama-bench, or summed over the published safetensors
        ("smollm2-135m", 134515008), ("llama-3.2-1b", 1235814400), ("llama-3.1-8b", 8030261248),
        ("llama-3.3-70b", 70553706496), ("qwen3-8b", 8190735360), ("qwen3-30b-a3b", 30532122624),
        ("gemma-2-27b", 27227128320), ("gpt-oss-20b", 20914757184), ("gpt-oss-120b", 116829156672),
        ("deepseek-v3", 671026419200), ("gemma-2-2b", 2614341888), ("gemma-2-9b", 9241705984),
        ("r1-distill-qwen-1.5b", 1777088000), ("glm-4.7-flash", 29943393920), ("lfm2-350m", 354483968),
        ("lfm2-700m", 742489344), ("lfm2-1.2b", 1170340608), ("lfm2-2.6b", 2569272320),
        ("granite-4.0-h-micro", 3191396096), ("granite-4.0-micro", 3402836480),
        ("glm-4.5-air", 110468824832),
    ],
)  # fmt: skip
def test_published_counts_of_parameters(shape: str, parameters: int) -> None:
    assert outline(shape).parameters == parameters


@pytest.mark.parametrize("shape", published.models())
def test_every_built_in_shape_has_about_the_published_parameters(shape: str) -> None:
    known, found = published.get(shape), outline(shape)
    if shape.startswith("gemma-3-") and shape != "gemma-3-1b":  # published with the vision tower, 0.42 billion
        assert found.parameters + 0.42e9 == pytest.approx(known.published_billions * 1e9, rel=0.01)
    else:
        assert found.parameters == pytest.approx(known.published_billions * 1e9, rel=0.013)


@pytest.mark.parametrize(
    ("shape", "published"),
    [
        ("gpt-oss-20b", 3.61e9),
        ("gpt-oss-120b", 5.13e9),
        ("deepseek-v3", 37e9),
        ("qwen3-30b-a3b", 3.04e9),
        ("gemma-4-26b-a4b", 3.8e9),
        ("lfm2-8b-a1b", 1.55e9),
        ("granite-4.0-h-tiny", 1.47e9),
    ],
)
def test_active_parameters(shape: str, published: float) -> None:
    found = outline(shape)
    assert found.active_parameters == pytest.approx(published, rel=0.011)
    assert operations_per_token(found) == pytest.approx(2 * found.active_parameters, rel=0.002)


@pytest.mark.parametrize(
    ("shape", "bytes_per_token"),
    [("gpt-oss-20b", 49152), ("deepseek-v3", 70272), ("qwen3.5-27b", 65536), ("qwen3-30b-a3b", 98304)],
)
def test_published_keys_and_values_of_a_token(shape: str, bytes_per_token: int) -> None:
    """DeepSeek: 576 values a layer. Qwen3.5: 16 of 64 layers. gpt-oss: every second layer keeps 128 tokens at most."""
    assert kv.kv_bytes_per_token(outline(shape)) == bytes_per_token


def test_half_of_gpt_oss_has_windows() -> None:
    found = outline("gpt-oss-20b")
    assert [layer.window for layer in found.layers[:4]] == [128, None, 128, None]
    per_layer = 2 * 8 * 64 * 2
    assert kv.kv_bytes(found, 131072) == 12 * per_layer * (131072 + 768)  # the window and a batch, padded to 256


@pytest.mark.parametrize(
    ("context", "published"),
    [(32768, 3523215360), (65536, 6207569920), (131072, 11576279040), (262144, 22313697280)],
)
def test_full_attention_of_gemma4_has_few_wide_heads(context: int, published: int) -> None:
    """31B: 50 layers of 16 heads and 1024 tokens, 10 of 4 heads, 512 wide. Published without room for a batch."""
    assert kv.kv_bytes(outline("gemma-4-31b"), context, batch=0) == published


def test_gemma4_in_the_newer_config_format() -> None:
    """Full-attention layers are described under per_layer_config."""
    newer = tiny.config("gemma4")
    layer = {"head_dim": newer.pop("global_head_dim"), "num_key_value_heads": newer.pop("num_global_key_value_heads")}
    newer["per_layer_config"] = {"3": layer}
    one, other = (blueprint(c, "", formats.get("f16")) for c in (newer, tiny.config("gemma4")))
    assert one.tensors == other.tensors and one.metadata == other.metadata


def test_qwen35_has_a_state_of_fixed_size() -> None:
    found = outline("qwen3.5-27b")
    recurrent = [layer for layer in found.layers if layer.kind == "recurrent"]
    assert len(recurrent) == 48
    state = 4 * (128 * 128 * 48 + 3 * (2 * 16 * 128 + 48 * 128))  # a matrix per head, and 3 columns to convolve
    assert {layer.state_bytes for layer in recurrent} == {state}
    assert kv.kv_bytes(found, 32768, "q8_0") == 48 * state + 32768 * 65536 * 34 // 64


def test_lfm2_has_a_state_of_two_tokens() -> None:
    found = outline("lfm2-8b-a1b")
    assert [layer.state_bytes for layer in found.layers if layer.kind == "convolution"] == [4 * 2 * 2048] * 18
    assert kv.kv_bytes(found, 32768) == 18 * 4 * 2 * 2048 + 32768 * 6 * 2 * 8 * 64 * 2


def test_lfm2_in_older_and_shorter_config_json() -> None:
    """Which layers attend, as numbers, and what is the default of the class in transformers."""
    config = tiny.config("lfm2", block_auto_adjust_ff_dim=True, num_key_value_heads=8, norm_eps=1e-5, rope_theta=1e6)
    older = config | {"full_attn_idxs": [1, 3]}
    for key in ("layer_types", "block_auto_adjust_ff_dim", "num_key_value_heads", "norm_eps", "rope_theta"):
        del older[key]
    one, other = (blueprint(c, "", formats.get("f16")) for c in (config, older))
    assert one.tensors == other.tensors and one.metadata == other.metadata
    assert one.metadata["lfm2.feed_forward_length"] == 256 and one.metadata["lfm2.rope.freq_base"] == 1e6
    assert one.metadata["lfm2.attention.layer_norm_rms_epsilon"] == 1e-5
    del older["full_attn_idxs"]
    assert blueprint(older, "", formats.get("f16")).metadata["lfm2.attention.head_count_kv"] == [8] * 4


def test_only_active_experts_count_as_read() -> None:
    found = outline("gpt-oss-20b")
    assignments = assign(found, None)
    one, many = bytes_per_token(found, assignments), bytes_per_token(found, assignments, tokens=64)
    experts = sum(a.bytes for a in assignments if "_exps" in a.tensor)
    rest = bytes_per_token(found, [a for a in assignments if "_exps" not in a.tensor])
    assert one == rest + experts * 4 // 32
    assert rest + experts * 0.999 < many < rest + experts


def test_gpt_oss_as_published() -> None:
    """The size that llama-bench prints for ggml-org's file: experts in MXFP4, everything else in Q8_0."""
    assert weight_bytes(assign(outline("gpt-oss-20b"), "mxfp4_moe")) / (1 << 30) == pytest.approx(11.27, abs=0.006)


def test_attention_operations_grow_up_to_the_window() -> None:
    found = outline("gemma-3-1b")
    full, local = 4, 22
    assert attention_operations(found, 10000) == 2 * 4 * 512 * (full * 10001 + local * 512)


MIXED = {"num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 131072}
DELTA = {"linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "head_dim": 256,
         "num_key_value_heads": 2, "num_experts": 512, "max_position_embeddings": 262144}  # fmt: skip
SNAPSHOTS: dict[str, dict[str, Any]] = {  # models for which llama.cpp stores the format of each tensor
    "deepseek-v3.1": published.get("deepseek-v3").config,
    "meta-llama-3.1-70b-instruct": published.get("llama-3.3-70b").config,
    "qwen3-0.6b": {**published.get("qwen3-0.6b").config, "tie_word_embeddings": False},  # has an output
    "glm-4.6v": {"model_type": "glm4_moe", "num_hidden_layers": 46, "hidden_size": 4096, "intermediate_size": 10944,
                 "vocab_size": 151552, "n_routed_experts": 128, "num_experts_per_tok": 8, "n_shared_experts": 1,
                 "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "attention_bias": True, **MIXED},
    "qwen3-coder-next": {"model_type": "qwen3_next", "num_hidden_layers": 48, "hidden_size": 2048, "vocab_size": 151936,
                         "intermediate_size": 5120, "num_attention_heads": 16, "num_experts_per_tok": 10,
                         "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
                         "linear_num_value_heads": 32, **DELTA},
    "qwen3.5-397b-a17b": {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 60, "hidden_size": 4096,
                          "vocab_size": 248320, "num_attention_heads": 32, "num_experts_per_tok": 10,
                          "moe_intermediate_size": 1024, "shared_expert_intermediate_size": 1024,
                          "linear_num_value_heads": 64, **DELTA},
}  # fmt: skip


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_formats_equal_llama_cpps_for_the_real_model(name: str, data: Path) -> None:
    """All its file types, tensor by tensor; the outline is drafted from the config alone."""
    found = from_blueprint(blueprint(SNAPSHOTS[name], name, formats.get("bf16")), name, "", "")
    shapes_of = {t.name: t.shape for t in found.tensors}
    sections = snapshots.sections(data / f"quant-type-snapshots/{name}.schema")
    assert len(sections) == 33
    for recipe, (base, differing) in sections.items():
        got = {
            a.tensor: a.format.name
            for a in assign(found, recipe)
            if is_quantized(a.tensor, shapes_of[a.tensor], found.architecture)
        }
        assert {t: f for t, f in got.items() if f != formats.get(base).name} == {
            t: formats.get(f).name for t, f in differing.items()
        }, recipe
