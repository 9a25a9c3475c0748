"""A checkpoint opened as a GGUF file: its tensors, what is refused by name, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from checkpoint_configs import CASES, DTYPES, LLAMA3
from checkpoints import write_set

from bitwright.errors import BitwrightError, UnknownNameError
from bitwright.io import hub
from bitwright.model import files
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.quantizers import quantize

LLAMA, GEMMA, QWEN_MOE = "llama-untied-llama3", "gemma3-windows-linear", "qwen3-moe-untied"
GPT_OSS, GLM_MOE = "gpt-oss-untied-mxfp4", "glm4-moe-untied-predicting"
GEMMA4, PLAIN_ROPE = "gemma4-own-embeddings-shared", {"rope_type": "default", "rope_theta": 1e6}
YARN2 = CASES["ministral3-untied"]["rope_parameters"]
LONGROPE = CASES["phi4-untied-longrope"]["rope_scaling"]


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return tiny_checkpoints.write(LLAMA, tmp_path / "llama")


def with_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value != ...}))
    return folder


def with_tensors(folder: Path, case: str, change: Any) -> Path:
    for old in folder.glob("model*"):
        old.unlink()
    config = json.loads((folder / "config.json").read_text())
    tensors = tiny_checkpoints.weights(config, DTYPES.get(case, "BF16"))
    change(tensors)
    return write_set(folder, tensors)


def test_tensors_are_views_of_the_files_or_made_while_used(llama: Path) -> None:
    file = files.open(llama)
    config = json.loads((llama / "config.json").read_text())
    stored = tiny_checkpoints.weights(config, "F32")
    up = file.tensor("blk.1.ffn_up.weight")
    np.testing.assert_array_equal(up.dequantize(), stored["model.layers.1.mlp.up_proj.weight"])
    assert not up.data.flags.writeable and not up.data.flags.owndata
    first, second = (file.tensor("blk.1.attn_k.weight") for _ in range(2))
    assert first.data.__array_interface__["data"] == second.data.__array_interface__["data"]
    by_head = stored["model.layers.1.self_attn.k_proj.weight"].reshape(2, 2, 10, 96)  # heads, halves, pairs, columns
    np.testing.assert_array_equal(first.dequantize().reshape(2, 10, 2, 96), by_head.swapaxes(1, 2))
    with pytest.raises(UnknownNameError, match="unknown tensor"):
        file.tensor("blk.9.ffn_up.weight")
    assert file.file_bytes == (llama / "model.safetensors").stat().st_size
    before = file.sha256()
    assert Checkpoint(with_config(llama, rope_theta=1e4)).sha256() != before


def test_every_name_of_a_checkpoint_opens_it(llama: Path) -> None:
    for name in ("", "config.json", "model.safetensors"):
        assert hub.resolve(llama / name) == llama
    (llama / "small.gguf").write_bytes(b"")
    assert hub.resolve(llama) == llama and hub.resolve(llama / "small.gguf") == llama / "small.gguf"


@pytest.mark.parametrize(("case", "model_type"), [(GEMMA, "gemma3"), ("ministral3-untied", "mistral3")])
def test_the_language_model_of_one_that_sees(tmp_path: Path, case: str, model_type: str) -> None:
    text = Checkpoint(tiny_checkpoints.write(case, tmp_path / "text"))
    config = json.loads((tmp_path / "text/config.json").read_text())
    seeing = tiny_checkpoints.write(case, tmp_path / "seeing")
    with_config(seeing, model_type=model_type, text_config=config, vision_config={}, hidden_size=...)

    def rename(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            tensors[f"language_model.{name}"] = tensors.pop(name)
        tensors["vision_tower.a"] = tensors["multi_modal_projector.b"] = np.zeros(3, np.float32)

    (tmp_path / "text/config.json").write_text(json.dumps(config))
    for old in seeing.glob("model*"):
        old.unlink()
    tensors = tiny_checkpoints.weights(config, "BF16")
    rename(tensors)
    found = Checkpoint(write_set(seeing, tensors))
    assert found.tensors.keys() == text.tensors.keys()
    assert found.metadata["general.architecture"] == model_type
    said = "only the language model is written, without the 2 tensors of multi_modal_projector and vision_tower"
    assert said in quantize(seeing, "q8_0", None, dry_run=True).warnings
    for name in text.tensors:
        np.testing.assert_array_equal(found.tensor(name).data, text.tensor(name).data)


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        (LLAMA, {"model_type": "gemma"}, "config.json: converting model_type gemma is not supported; supported: llama"),
        (LLAMA, {"model_type": ...}, "converting model_type None is not supported"),
        (LLAMA, {"model_type": "bert"}, "converting model_type bert is not supported"),
        (LLAMA, {"quantization_config": {"quant_method": "gptq"}}, "converting weights quantized by gptq is not"),
        (LLAMA, {"hidden_act": "relu"}, "hidden_act of string 'relu' is not supported; supported: silu, swish"),
        (LLAMA, {"sliding_window": 64}, "sliding_window of integer 64 is not supported; supported: null"),
        (LLAMA, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type dynamic is not supported; "),
        (LLAMA, {"rope_scaling": {"type": "yarn", "factor": 2.0, "mscale": 1.0}}, "a key of rope scaling mscale is"),
        (LLAMA, {"rope_scaling": {"type": "linear"}}, "rope_scaling.factor to be a number"),
        (LLAMA, {"rope_scaling": LLAMA3 | {"high_freq_factor": 1.0}}, "above low_freq_factor, 1, got"),
        (LLAMA, {"rope_scaling": LLAMA3 | {"low_freq_factor": "1"}}, "low_freq_factor to be a number"),
        (LLAMA, {"rms_norm_eps": "tiny"}, "rms_norm_eps to be a number"),
        (LLAMA, {"rope_theta": 0}, "rope_theta to be a number"),
        (LLAMA, {"is_causal": False}, "is_causal of bool False is not supported"),
        (LLAMA, {"num_hidden_layers": 2}, "a model without the tensors model.layers.2.input_layernorm.weight, "),
        (LLAMA, {"num_hidden_layers": 4}, "a tensor model.layers.3.input_layernorm.weight of shape .96,., got none"),
        (LLAMA, {"hidden_size": 64}, r"tensor model.embed_tokens.weight to have shape \(325, 64\), got \(325, 96\)"),
        (LLAMA, {"vocab_size": 1 << 40}, "vocab_size to be a whole number"),
        (GPT_OSS, {"rope_scaling": CASES[GPT_OSS]["rope_scaling"] | {"truncate": True}}, "truncate of true is not"),
        (GPT_OSS, {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type linear is not supported"),
        (GPT_OSS, {"layer_types": ["full_attention"] * 4}, "layer_types of array of 4 string: 'full_"),
        (GPT_OSS, {"swiglu_limit": 10.0}, "swiglu_limit of number 10.0 is not supported; supported: 7"),
        (GPT_OSS, {"attention_bias": False}, "attention_bias of bool False is not supported; supported: True"),
        (GPT_OSS, {"num_local_experts": 5}, r"mlp.router.weight to have shape \(5, 96\), got \(6, 96\)"),
        (GPT_OSS, {"intermediate_size": 32}, r"experts.gate_proj.weight to have shape \(6, 32, 96\), got"),
        (GLM_MOE, {"norm_topk_prob": False}, "norm_topk_prob of bool False is not supported; supported: True"),
        (GLM_MOE, {"n_group": 2}, "n_group of integer 2 is not supported; supported: 1"),
        (GLM_MOE, {"num_hidden_layers": 4}, "a tensor model.layers.4.input_layernorm.weight of shape .96,., got none"),
        ("ministral3-untied", {"sliding_window": 64}, "sliding_window of integer 64 is not supported"),
        ("ministral3-untied", {"rope_parameters": YARN2 | {"mscale": 0.7}}, "mscale of number 0.7 is not supported"),
        ("ministral3-untied", {"rope_parameters": YARN2 | {"mscale": None}}, "mscale_all_dim without mscale is not"),
        ("ministral3-untied", {"rope_parameters": YARN2 | {"attention_factor": 2.0}}, "attention_factor of number 2.0"),
        ("ministral3-untied", {"model_type": "mistral3", "text_config": {"model_type": "mistral4"}}, "mistral4 is not"),
        ("olmo3-untied-windows-yarn", {"attention_bias": True}, "attention_bias of bool True is not supported"),
        ("phi4-untied-longrope", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope_type yarn is not supported"),
        ("phi4-untied-longrope", {"original_max_position_embeddings": 1}, "embeddings to be a whole number from 2"),
        ("phi4-untied-longrope", {"rope_scaling": LONGROPE | {"long_factor": [0.0] * 6}}, "long_factor to be numbers"),
        ("phi4-untied-longrope", {"partial_rotary_factor": 1.0}, "long_factor to be an array of 8 numbers"),
        ("smollm3-tied", {"no_rope_layers": [1, 1, 0, 1, 1]}, "no_rope_layers of array of 5 integer: 1, 1, 0, ... is"),
        ("smollm3-tied", {"no_rope_layers": ..., "no_rope_layer_interval": 3}, "no_rope_layer_interval of integer 3"),
        ("smollm3-tied", {"rope_scaling": LLAMA3}, "rope_type llama3 is not supported"),
        ("qwen2-tied-yarn", {"use_sliding_window": True}, "use_sliding_window of bool True is not supported"),
        ("qwen2-tied-yarn", {"rope_scaling": LLAMA3}, "rope_type llama3 is not supported"),
        ("qwen3-untied", {"layer_types": ["full_attention", "sliding_attention"]}, "layers of sliding_attention is"),
        (QWEN_MOE, {"norm_topk_prob": False}, "norm_topk_prob of false is not supported; supported: true"),
        (QWEN_MOE, {"norm_topk_prob": ...}, "norm_topk_prob of false is not supported"),
        (QWEN_MOE, {"mlp_only_layers": [1]}, "mlp_only_layers of array of 1 integer: 1 is not supported"),
        (QWEN_MOE, {"decoder_sparse_step": 2}, "decoder_sparse_step of integer 2 is not supported"),
        (QWEN_MOE, {"num_experts": 7}, r"mlp.gate.weight to have shape \(7, 96\), got \(6, 96\)"),
        (QWEN_MOE, {"moe_intermediate_size": 32}, r"experts.0.gate_proj.weight to have shape \(32, 96\), got"),
        ("qwen3.5-untied", {"rms_norm_eps": 1e-5}, "rms_norm_eps of number 1e-05 is not supported; supported: 1e-06"),
        ("qwen3.5-untied", {"attn_output_gate": False}, "attn_output_gate of bool False is not supported"),
        ("qwen3.5-untied", {"layer_types": ["sliding_attention"] * 5}, "layers of sliding_attention is not supported"),
        ("qwen3.5-untied", {"linear_conv_kernel_dim": 3}, r"conv1d.weight to have shape \(128, 1, 3\), got"),
        ("qwen3.5-moe-untied", {"moe_intermediate_size": 32}, r"gate_up_proj to have shape \(6, 64, 96\), got"),
        ("qwen3-next-untied", {"norm_topk_prob": False}, "norm_topk_prob of false is not supported; supported: true"),
        ("qwen3-next-untied", {"linear_num_value_heads": 2}, r"in_proj_qkvz.weight to have shape \(128, 96\), got"),
        (GEMMA, {"layer_types": ["chunked_attention"] * 3}, "layers of chunked_attention is not supported"),
        (GEMMA, {"query_pre_attn_scalar": 16}, "query_pre_attn_scalar of integer 16 is not supported; supported: 32"),
        (GEMMA, {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping of number 50.0 is not supported"),
        (GEMMA, {"use_bidirectional_attention": True}, "use_bidirectional_attention of bool True is not supported"),
        (GEMMA4, {"use_bidirectional_attention": "all"}, "use_bidirectional_attention of string 'all' is not"),
        (GEMMA4, {"attention_bias": True}, "attention_bias of bool True is not supported"),
        (GEMMA4, {"hidden_activation": "silu"}, "hidden_activation of string 'silu' is not supported"),
        (GEMMA4, {"layer_types": ["chunked_attention"] * 6}, "layers of chunked_attention is not supported"),
        (GEMMA4, {"rope_parameters": {"full_attention": PLAIN_ROPE, "sliding_attention": PLAIN_ROPE}},
         "rope_type of string 'default' is not supported; supported: proportional"),
        (GEMMA4, {"num_kv_shared_layers": 2}, "layers.3.self_attn.k_proj.weight of shape .32, 96., got none"),
        (GEMMA4, {"vocab_size_per_layer_input": 400}, "embed_tokens_per_layer.weight to have shape .400, 72."),
        ("gemma4-mixture", {"num_experts": 7}, r"router.proj.weight to have shape \(7, 96\), got \(6, 96\)"),
    ],
    ids=range(69),
)  # fmt: skip
def test_configs_that_ask_for_more_are_refused_by_name(
    tmp_path: Path, case: str, changes: dict[str, Any], message: str
) -> None:
    folder = with_config(tiny_checkpoints.write(case, tmp_path / "m"), **changes)
    with pytest.raises(BitwrightError, match=message) as refused:
        Checkpoint(folder)
    assert "\n" not in str(refused.value)


def test_keys_of_layers_that_use_those_of_others_are_left_out(tmp_path: Path) -> None:
    folder = tiny_checkpoints.write(GEMMA4, tmp_path / "m")
    plain, tensors = (
        [*Checkpoint(folder).tensors],
        tiny_checkpoints.weights(json.loads((folder / "config.json").read_text()), "BF16"),
    )
    write_set(folder, tensors | {"model.layers.5.self_attn.k_proj.weight": np.zeros((64, 96), np.uint16)}, parts=2)
    assert [*Checkpoint(folder).tensors] == plain


def test_other_kinds_of_weights_are_refused(llama: Path, tmp_path: Path) -> None:
    def more(tensors: dict[str, np.ndarray]) -> None:
        tensors["score.weight"] = np.zeros((2, 96), np.float32)

    with pytest.raises(BitwrightError, match=r"a model without the tensors score\.weight"):
        Checkpoint(with_tensors(llama, LLAMA, more))
    path = llama / "model.safetensors"
    whole = tiny_checkpoints.weights(json.loads((llama / "config.json").read_text()), "F32")
    write_set(llama, whole)
    path.write_bytes(path.read_bytes().replace(b'"dtype": "F32"', b'"dtype": "I32"'))
    with pytest.raises(BitwrightError, match=r"tensor model\.\S+ of type I32 is not supported; supported: F32, F16"):
        Checkpoint(llama)
    (llama / "tokenizer.json").unlink()
    write_set(llama, whole)
    with pytest.raises(BitwrightError, match=r"expected tokenizer\.json or tokenizer\.model, got neither"):
        Checkpoint(llama)
    (llama / "config.json").rename(llama / "adapter_config.json")
    with pytest.raises(BitwrightError, match="base_model_name_or_path to be a string"):
        files.open(llama)


def test_a_tied_model_may_repeat_its_embedding(tmp_path: Path) -> None:
    case = "qwen2-tied-yarn"

    def more(tensors: dict[str, np.ndarray]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(8, np.float32)

    found = Checkpoint(with_tensors(tiny_checkpoints.write(case, tmp_path / "m"), case, more))
    assert "output.weight" not in found.tensors


SCRIPT = """
import sys
from bitwright import system
from bitwright.quantizers import quantize
from bitwright.recipes import Recipe
quantize(sys.argv[2], Recipe(), sys.argv[3])  # a small one first: what the program itself takes
before = system.peak_memory_bytes()
quantize(sys.argv[1], Recipe(), sys.argv[3])
print(system.peak_memory_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep pages of mapped files that are no longer used")
def test_converting_holds_one_tensor(llama: Path, tmp_path: Path) -> None:
    """36 MB of weights, the largest of 3.5 MB; a reordered one lies in memory twice."""
    big = tiny_checkpoints.write(LLAMA, tmp_path / "big")
    with_config(big, hidden_size=720, head_dim=120, intermediate_size=1200, num_hidden_layers=2)
    with_tensors(big, LLAMA, lambda tensors: None)
    largest = 1200 * 720 * 4
    command = [sys.executable, "-c", SCRIPT, big, llama, tmp_path / "out.gguf"]
    grown = int(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
    assert (big / "model.safetensors").stat().st_size > 8 * largest
    assert grown < 4 * largest


def test_cases_cover_what_is_converted() -> None:
    from bitwright.model.architectures import families
    from bitwright.model.conversion.families import FAMILIES
    from bitwright.model.steps import ARCHITECTURES

    kinds = {case["model_type"] for case in CASES.values()}
    assert kinds <= set(FAMILIES) <= set(families.FAMILIES)
    assert {families.FAMILIES[kind][0] for kind in kinds} == set(ARCHITECTURES)
