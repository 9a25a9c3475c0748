"""From config.json to the keys and tensors of a GGUF file: one small function per family, one table.

Sources of every family, by its `model_type`: llama.cpp's src/models/*.cpp (tensors) and conversion/*.py (keys).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bitwright.errors import UnsupportedError
from bitwright.formats import Format
from bitwright.io.values import Values, without_nulls
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.architectures.families import dense, gemma, hybrid, mixture

# model_type -> (GGUF's name of the architecture, the function that adds its keys and tensors)
FAMILIES: dict[str, tuple[str, Callable[[Blueprint], None]]] = {
    "llama": ("llama", dense.llama),
    "mistral": ("llama", dense.llama),
    "smollm3": ("smollm3", dense.smollm3),
    "qwen2": ("qwen2", dense.qwen2),
    "qwen3": ("qwen3", dense.qwen3),
    "gemma": ("gemma", dense.gemma),
    "gemma2": ("gemma2", dense.gemma2),
    "gemma3": ("gemma3", dense.gemma3),
    "gemma3_text": ("gemma3", dense.gemma3),
    "phi3": ("phi3", dense.phi3),
    "granite": ("granite", dense.granite),
    "glm4": ("glm4", dense.glm4),
    "olmo2": ("olmo2", dense.olmo2),
    "olmo3": ("olmo2", dense.olmo3),
    "ministral3": ("mistral3", dense.mistral3),
    "mistral3": ("mistral3", dense.mistral3),
    "qwen2_moe": ("qwen2moe", mixture.qwen2_moe),
    "qwen3_moe": ("qwen3moe", mixture.qwen3_moe),
    "gpt_oss": ("gpt-oss", mixture.gpt_oss),
    "glm4_moe": ("glm4moe", mixture.glm4_moe),
    "deepseek_v2": ("deepseek2", mixture.deepseek2),
    "deepseek_v3": ("deepseek2", mixture.deepseek2),
    "kimi_k2": ("deepseek2", mixture.deepseek2),
    "glm4_moe_lite": ("deepseek2", mixture.deepseek2),
    "minimax_m2": ("minimax-m2", mixture.minimax_m2),
    "qwen3_5": ("qwen35", hybrid.qwen35),
    "qwen3_5_text": ("qwen35", hybrid.qwen35),
    "qwen3_5_moe": ("qwen35moe", hybrid.qwen35_moe),
    "qwen3_5_moe_text": ("qwen35moe", hybrid.qwen35_moe),
    "qwen3_next": ("qwen3next", hybrid.qwen3_next),
    "lfm2": ("lfm2", hybrid.lfm2),
    "lfm2_moe": ("lfm2moe", hybrid.lfm2),
    "granitemoehybrid": ("granitehybrid", hybrid.granite_hybrid),
    "kimi_linear": ("kimi-linear", hybrid.kimi_linear),
    "gemma3n": ("gemma3n", gemma.gemma3n),
    "gemma3n_text": ("gemma3n", gemma.gemma3n),
    "gemma4": ("gemma4", gemma.gemma4),
    "gemma4_text": ("gemma4", gemma.gemma4),
}

# What a config.json leaves out because it is the default of its class in transformers, by GGUF's name and then by
# model_type. Google's files of Gemma 3 with
# vision are such: their text_config lists only what differs (src/transformers/models/gemma3/configuration_gemma3.py).
DEFAULTS: dict[str, dict[str, Any]] = {
    **{
        name: {"norm_topk_prob": True, "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5}
        | {"first_k_dense_replace": 3}
        for name in ("deepseek_v3", "kimi_k2")
    },
    "gemma3": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "rope_theta": 1e6,
    },
    "gemma4": {
        "head_dim": 256,
        "global_head_dim": 512,
        "sliding_window": 512,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
        },
    },
    "glm4": {"partial_rotary_factor": 0.5, "rms_norm_eps": 1.5625e-7},
    "glm4_moe": {"partial_rotary_factor": 0.5, "rms_norm_eps": 1e-5, "first_k_dense_replace": 1},
    "glm4_moe_lite": {
        "rms_norm_eps": 1e-5,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.8,
    },
    "gpt_oss": {
        "num_key_value_heads": 8,
        "head_dim": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 150000.0,
        "rope_parameters": {
            "rope_type": "yarn",
            "factor": 32.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
    },
    "granitemoehybrid": {
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 1024,
        "mamba_n_heads": 128,
        "mamba_n_groups": 1,
        "mamba_d_state": 256,
    },
    **{name: {"num_key_value_heads": 8, "rope_theta": 1e6} for name in ("lfm2", "lfm2moe")},
    "olmo2": {"rms_norm_eps": 1e-5},
    "olmo3": {"rope_theta": 5e5, "sliding_window": 4096},
    **{name: {"partial_rotary_factor": 0.25} for name in ("qwen35", "qwen35moe", "qwen3next")},
    "smollm3": {"rope_theta": 2e6},
}


def blueprint(config: Mapping[str, Any], place: object, base: Format) -> Blueprint:
    """The GGUF file that a config.json would become, with matrices in the format `base`. place: named in errors. Of a
    model with vision it is the language part (`text_config`), by the name of the whole if that is known.

    Raises UnsupportedError for an unknown family, FileFormatError for a value that is missing or wrong.
    """
    language = config.get("text_config")
    given = without_nulls({**config, **language} if isinstance(language, Mapping) else config)
    whole, family = (Values(v, place).text("model_type", "") for v in (without_nulls(config), given))
    family = whole if whole in FAMILIES else family
    if family not in FAMILIES:
        raise UnsupportedError(f"{place}: model_type", family or "(none)", FAMILIES)
    architecture, fill = FAMILIES[family]
    usual = DEFAULTS.get(architecture, {}) | DEFAULTS.get(family, {})
    found = Blueprint(architecture, Values(usual | given, place), base)
    fill(found)
    return found
