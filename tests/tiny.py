"""A tiny config.json of every family, and a GGUF file made from it: zeros, and ones for divisors."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bitwright import formats
from bitwright.io import gguf
from bitwright.model.architectures.blueprint import Blueprint, TensorSpec
from bitwright.model.architectures.families import blueprint

BASE = {
    "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
    "intermediate_size": 96, "vocab_size": 128, "max_position_embeddings": 4096,
}  # fmt: skip
MIXTURE = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {"kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 32, "v_head_dim": 32}
DELTA = {
    "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_num_value_heads": 4, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}  # fmt: skip
MAMBA = {"mamba_n_heads": 4, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_expand": 2, "mamba_d_conv": 4}
WINDOWED = {"sliding_window": 32, "layer_types": [*["sliding_attention"] * 3, "full_attention"]}
CONVOLVED = {"conv_L_cache": 3, "layer_types": ["conv", "full_attention", "conv", "full_attention"]}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"rope_scaling": {"rope_type": "llama3"}},
    "mistral": {},
    "ministral3": {},
    "smollm3": {},
    "qwen2": {"head_dim": 16},
    "qwen3": {},
    "gemma": {},
    "gemma2": {"sliding_window": 32},
    "gemma3_text": WINDOWED,
    "phi3": {"head_dim": 16},
    "granite": {"head_dim": 16, "logits_scaling": 8.0},
    "olmo2": {"head_dim": 16},
    "olmo3": {"head_dim": 16, **WINDOWED},
    "glm4": {"attention_bias": True},
    "qwen2_moe": {"head_dim": 16, "num_experts": 4, "shared_expert_intermediate_size": 32, **MIXTURE},
    "qwen3_moe": {"num_experts": 4, **MIXTURE},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32,
                "quantization_config": {"quant_method": "mxfp4"}},
    "glm4_moe": {"n_routed_experts": 4, "first_k_dense_replace": 1, "attention_bias": True, "use_qk_norm": True,
                 **MIXTURE},
    "deepseek_v3": {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "q_lora_rank": 48,
                    "n_group": 2, "topk_group": 1, **LATENT, **MIXTURE},
    "glm4_moe_lite": {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "q_lora_rank": 48,
                    **LATENT, **MIXTURE},
    "minimax_m2": {"num_local_experts": 4, "num_experts_per_tok": 2, "rotary_dim": 16},
    "qwen3_5": {**DELTA},
    "qwen3_5_moe": {"num_experts": 4, "shared_expert_intermediate_size": 32, **MIXTURE, **DELTA},
    "qwen3_next": {"num_experts": 4, "shared_expert_intermediate_size": 32, **MIXTURE, **DELTA},
    "lfm2": {"head_dim": 16, "block_auto_adjust_ff_dim": False, **CONVOLVED},
    "lfm2_moe": {"head_dim": 16, "num_experts": 4, "num_dense_layers": 1, **MIXTURE, **CONVOLVED},
    "granitemoehybrid": {"head_dim": 16, "shared_intermediate_size": 96, "num_local_experts": 0, **MAMBA,
                         "layer_types": ["mamba", "attention", "mamba", "mamba"]},
    "kimi_linear": {"num_experts": 4, "num_shared_experts": 1, "first_k_dense_replace": 1, **LATENT, **MIXTURE,
                    "linear_attn_config": {"head_dim": 16, "short_conv_kernel_size": 4, "full_attn_layers": [4]}},
    "gemma3n_text": {"hidden_size_per_layer_input": 256, "vocab_size_per_layer_input": 128, **WINDOWED},
    "gemma4_text": {"hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": 128, "global_head_dim": 64,
                    "num_kv_shared_layers": 2, "use_double_wide_mlp": True, "num_hidden_layers": 6,
                    "sliding_window": 32,
                    "layer_types": [*WINDOWED["layer_types"], "sliding_attention", "full_attention"]},
    "gemma4": {"global_head_dim": 64, "num_global_key_value_heads": 1, "attention_k_eq_v": True, "top_k_experts": 2,
               "enable_moe_block": True, "num_experts": 4, "moe_intermediate_size": 32, **WINDOWED},
}  # fmt: skip

# The same, wide enough to distinguish buffers, with a vocabulary that needs none.
WIDE = {
    "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 1536, "vocab_size": 256, "head_dim": 64,
    "moe_intermediate_size": 512, "linear_num_key_heads": 4, "linear_key_head_dim": 64, "linear_num_value_heads": 8,
    "linear_value_head_dim": 64, "kv_lora_rank": 128, "qk_rope_head_dim": 32, "qk_nope_head_dim": 64, "v_head_dim": 64,
    "mamba_n_heads": 16, "mamba_d_state": 64, "shared_intermediate_size": 1536, "vocab_size_per_layer_input": 256,
}  # fmt: skip


def wide(family: str) -> dict[str, Any]:
    """Changes to `config` that make it wide."""
    return {key: value for key, value in WIDE.items() if key in BASE | CONFIGS[family]}


def config(family: str, **changes: Any) -> dict[str, Any]:
    return {"model_type": family, **BASE, **CONFIGS[family], **changes}


def write(made: Blueprint, path: Path) -> Path:
    """Writes the blueprint as a file without a vocabulary."""

    def values(tensor: TensorSpec) -> bytes:
        if tensor.name == "rope_freqs.weight":
            return np.ones(tensor.shape, np.float32).tobytes()
        return bytes(math.prod(tensor.shape[:-1]) * tensor.format.row_bytes(tensor.shape[-1]))

    tensors = [(t.name, t.shape, t.format, partial(values, t)) for t in made.tensors]
    gguf.write(path, {**made.metadata, "tokenizer.ggml.model": "no_vocab"}, tensors)
    return path


def tiny(family: str, path: Path, **changes: Any) -> Blueprint:
    made = blueprint(config(family, **changes), family, formats.get("f16"))
    write(made, path)
    return made
