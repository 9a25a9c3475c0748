"""Tiny models with random weights, one architecture or rotary scaling each, for tests without a real file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import synthetic_convolution
import synthetic_delta
import synthetic_latent
import synthetic_mamba
import synthetic_mixture
from synthetic_mixture import EXPERT_FEED_FORWARD, EXPERTS, GATED, LEADING, MIXTURE, WIDTH

FEED_FORWARD, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 96, 7, 4, 2, 160, 96

EXTRA: dict[str, dict[str, Any]] = {
    "llama": {},
    "glm4": {"rope.dimension_count": 8},
    "deepseek2": synthetic_latent.KEYS | LEADING | {"expert_group_count": 3, "expert_group_used_count": 2},
    "glm4moe": {"rope.dimension_count": 8, **LEADING},
    "gpt-oss": {
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 8,
        **MIXTURE,
        "rope.freq_base": 1000.0,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 512,
    },
    "granite": {"embedding_scale": 6.0, "residual_scale": 0.22, "logit_scale": 2.0, "attention.scale": 0.3},
    "granitehybrid": synthetic_mamba.KEYS,
    "lfm2": synthetic_convolution.KEYS,
    "lfm2moe": synthetic_convolution.KEYS | MIXTURE | {"expert_gating_func": 2, "leading_dense_block_count": 2},
    "mistral3": {
        "attention.temperature_scale": 0.3,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 12,
        "rope.scaling.yarn_log_multiplier": 0.5,
    },
    "olmo2": {
        "attention.sliding_window": 8,
        "rope.freq_base": 1e6,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 24,
    },
    "phi3": {
        "rope.dimension_count": 12,
        "rope.scaling.type": "longrope",
        "rope.scaling.original_context_length": CONTEXT,
        "rope.scaling.attn_factor": 1.2,
    },
    "smollm3": {"rope.freq_base": 1e6},
    "qwen2": {"rope.freq_base": 1e6},
    "qwen2moe": {"rope.freq_base": 1e6, **GATED},
    "qwen3": {"attention.key_length": 32, "attention.value_length": 32},
    "qwen3moe": {
        "attention.key_length": 32,
        "attention.value_length": 32,
        **MIXTURE,
    },
    "qwen35": synthetic_delta.KEYS,
    **dict.fromkeys(("qwen35moe", "qwen3next"), synthetic_delta.KEYS | GATED),
    "gemma3": {
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.sliding_window": 8,
        "rope.freq_base": 1e6,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0,
        "final_logit_softcapping": 3.0,
    },
    "gemma4": {
        "attention.key_length": 32,
        "attention.value_length": 32,
        "attention.key_length_swa": 16,
        "attention.value_length_swa": 16,
        "attention.head_count_kv": [2, 2, 1, 2, 1, 2, 1],
        "attention.sliding_window": 8,
        "attention.sliding_window_pattern": [True, True, False, True, False, True, False],
        "attention.shared_kv_layers": 2,
        "embedding_length_per_layer_input": 12,
        "feed_forward_length": [96, 96, 96, 96, 96, 192, 192],
        "rope.dimension_count": 32,
        "rope.dimension_count_swa": 16,
        "rope.freq_base": 1e6,
        "rope.freq_base_swa": 5000.0,
        "final_logit_softcapping": 3.0,
    },
}
GEMMA4_MIXTURE: dict[str, Any] = {
    "attention__shared_kv_layers": 0,
    "embedding_length_per_layer_input": 0,
    "feed_forward_length": FEED_FORWARD,
    **MIXTURE,
}


def metadata_of(architecture: str, **extra: Any) -> dict[str, Any]:
    """The keys of a small model; names in `extra` write a dot as two underscores."""
    keys = {
        "block_count": LAYERS,
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        **EXTRA[architecture],
        **{name.replace("__", "."): value for name, value in extra.items()},
    }
    return {"general.architecture": architecture} | {f"{architecture}.{name}": v for name, v in keys.items()}


def weights_of(metadata: Mapping[str, Any], seed: int = 0, tied: bool = True) -> dict[str, np.ndarray]:
    """float32 weights (rows, columns), or (experts, rows, columns), large enough that attention is not flat and layers
    matter."""
    rng = np.random.default_rng(seed)
    architecture = metadata["general.architecture"]
    if architecture == "gemma4":
        return gemma4_weights(metadata, rng)
    heads, kv_heads = (metadata[f"{architecture}.attention.{key}"] for key in ("head_count", "head_count_kv"))
    head_dim = metadata.get(f"{architecture}.attention.key_length", WIDTH // heads)
    q, kv = heads * head_dim, np.max(kv_heads) * head_dim
    matrix, vector = partial(random_matrix, rng), partial(random_vector, rng)
    last = "token_embd" if "shortconv.l_cache" in EXTRA[architecture] else "output"
    weights = {"token_embd.weight": matrix(VOCABULARY, WIDTH), f"{last}_norm.weight": vector(WIDTH)}
    if not tied:
        weights["output.weight"] = matrix(VOCABULARY, WIDTH)
    if architecture == "phi3":
        weights |= {f"rope_factors_{kind}.weight": 1 + rng.random(6).astype(np.float32) for kind in ("long", "short")}
    for layer in range(metadata[f"{architecture}.block_count"]):
        layer_weights = {
            "attn_norm.weight": vector(WIDTH),
            "attn_q.weight": matrix(q, WIDTH),
            "attn_k.weight": matrix(kv, WIDTH),
            "attn_v.weight": matrix(kv, WIDTH),
            "attn_output.weight": matrix(WIDTH, q),
            "ffn_norm.weight": vector(WIDTH),
            "ffn_gate.weight": matrix(FEED_FORWARD, WIDTH),
            "ffn_up.weight": matrix(FEED_FORWARD, WIDTH),
            "ffn_down.weight": matrix(WIDTH, FEED_FORWARD),
        }
        if architecture in ("glm4", "glm4moe", "qwen2", "qwen2moe"):
            layer_weights |= {"attn_q.bias": vector(q, 0), "attn_k.bias": vector(kv, 0), "attn_v.bias": vector(kv, 0)}
        if architecture in ("gpt-oss", "glm4moe"):
            layer_weights["post_attention_norm.weight"] = layer_weights.pop("ffn_norm.weight")
        dense = metadata.get(f"{architecture}.leading_dense_block_count", 0)
        if f"{architecture}.expert_count" in metadata and layer >= dense:
            for name in ("gate", "up", "down"):
                del layer_weights[f"ffn_{name}.weight"]
            layer_weights |= synthetic_mixture.weights_of(architecture, matrix, vector)
        if architecture == "gpt-oss":
            layer_weights["attn_sinks.weight"] = vector(heads)
            for name in [name for name in layer_weights if layer_weights[name].ndim > 1]:
                layer_weights[name.replace("weight", "bias")] = 0.3 * matrix(*layer_weights[name].shape[:-1])
        predicting = metadata.get(f"{architecture}.nextn_predict_layers", 0)
        if layer >= metadata[f"{architecture}.block_count"] - predicting:
            layer_weights |= {"nextn.eh_proj.weight": matrix(WIDTH, 2 * WIDTH), "nextn.enorm.weight": vector(WIDTH)}
        if architecture == "deepseek2":
            synthetic_latent.turn(layer_weights, metadata, matrix, vector)
        if architecture == "granitehybrid":
            synthetic_mamba.turn(layer_weights, metadata, layer, matrix, vector)
        elif "ssm.state_size" in EXTRA[architecture]:
            synthetic_delta.turn(layer_weights, metadata, layer, matrix, vector)
        if "shortconv.l_cache" in EXTRA[architecture]:
            synthetic_convolution.turn(layer_weights, metadata, layer, matrix, vector)
        if architecture in ("qwen3", "qwen3moe", "gemma3", "glm4moe"):
            layer_weights |= {"attn_q_norm.weight": vector(head_dim), "attn_k_norm.weight": vector(head_dim)}
        if architecture == "olmo2":
            layer_weights |= {"attn_q_norm.weight": vector(q), "attn_k_norm.weight": vector(kv)}
            del layer_weights["attn_norm.weight"], layer_weights["ffn_norm.weight"]
        fused = {"phi3": ("attn_qkv.weight", "ffn_up.weight"), "glm4": ("ffn_up.weight",)}.get(architecture, ())
        parts = {"attn_qkv.weight": [f"attn_{name}.weight" for name in "qkv"],
                 "ffn_up.weight": ["ffn_gate.weight", "ffn_up.weight"]}  # fmt: skip
        for name in fused:
            layer_weights[name] = np.concatenate([layer_weights.pop(part) for part in parts[name]])
        if architecture in ("gemma3", "glm4", "olmo2"):
            layer_weights |= {"post_attention_norm.weight": vector(WIDTH), "post_ffw_norm.weight": vector(WIDTH)}
        weights |= {f"blk.{layer}.{name}": value for name, value in layer_weights.items()}
    return weights


def gemma4_weights(metadata: Mapping[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of Gemma 4, whose layers differ. Those that see everything have no values of their own."""
    matrix, vector = partial(random_matrix, rng), partial(random_vector, rng)

    def get(key: str) -> Any:
        return metadata[f"gemma4.{key}"]

    layers, own = get("block_count"), get("embedding_length_per_layer_input")
    local = get("attention.sliding_window_pattern")
    weights = {"token_embd.weight": matrix(VOCABULARY, WIDTH), "output_norm.weight": vector(WIDTH)}
    weights["rope_freqs.weight"] = np.array([1.0] * 5 + [1e30] * 11, np.float32)
    if own:
        weights["per_layer_token_embd.weight"] = matrix(VOCABULARY, layers * own)
        weights["per_layer_model_proj.weight"] = matrix(layers * own, WIDTH)
        weights["per_layer_proj_norm.weight"] = vector(own)
    for layer in range(layers):
        head_dim, kv_heads = 16 if local[layer] else 32, get("attention.head_count_kv")[layer]
        length = own_length[layer] if isinstance(own_length := get("feed_forward_length"), list) else own_length
        found = {
            "attn_q.weight": matrix(HEADS * head_dim, WIDTH),
            "attn_q_norm.weight": vector(head_dim),
            "attn_output.weight": matrix(WIDTH, HEADS * head_dim),
            "ffn_gate.weight": matrix(length, WIDTH),
            "ffn_up.weight": matrix(length, WIDTH),
            "ffn_down.weight": matrix(WIDTH, length),
            "layer_output_scale.weight": vector(1),
        }
        norms = ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"]
        if layer < layers - get("attention.shared_kv_layers"):
            found["attn_k.weight"] = matrix(kv_heads * head_dim, WIDTH)
            found["attn_k_norm.weight"] = vector(head_dim)
            if local[layer]:
                found["attn_v.weight"] = matrix(kv_heads * head_dim, WIDTH)
        if own:
            norms.append("post_norm")
            found |= {"inp_gate.weight": matrix(own, WIDTH), "proj.weight": matrix(WIDTH, own)}
        if "gemma4.expert_count" in metadata:
            norms += ["pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"]
            found |= {
                "ffn_gate_inp.weight": matrix(EXPERTS, WIDTH),
                "ffn_gate_inp.scale": vector(WIDTH, 8),
                "ffn_gate_up_exps.weight": matrix(EXPERTS, 2 * EXPERT_FEED_FORWARD, WIDTH),
                "ffn_down_exps.weight": matrix(EXPERTS, WIDTH, EXPERT_FEED_FORWARD),
                "ffn_down_exps.scale": vector(EXPERTS),
            }
        found |= {f"{name}.weight": vector(WIDTH) for name in norms}
        weights |= {f"blk.{layer}.{name}": value for name, value in found.items()}
    return weights


def random_matrix(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) * 1.5 / np.sqrt(shape[-1])).astype(np.float32)


def random_vector(rng: np.random.Generator, size: int, around: float = 1.0) -> np.ndarray:
    return (around + 0.3 * rng.standard_normal(size)).astype(np.float32)


def write(path: Path, metadata: Mapping[str, Any], weights: Mapping[str, np.ndarray], format: str = "f32") -> Path:
    """Writes a GGUF file of them, with matrices in `format`; vectors, routers and convolutions stay in float32."""
    from bitwright import formats
    from bitwright.io import gguf

    def stored(name: str, value: np.ndarray) -> tuple[str, tuple[int, ...], Any, Any]:
        of_states = "conv1d" in name or name.endswith((".ssm_a", ".ssm_d", ".ssm_norm.weight", ".conv.weight"))
        is_vector = value.ndim == 1 or "ffn_gate_inp" in name or of_states
        kind = formats.get("f32" if is_vector else format)
        return name, value.shape, kind, lambda: kind.quantize(value.astype(np.float32))

    gguf.write(path, metadata, [stored(name, value) for name, value in weights.items()])
    return path
