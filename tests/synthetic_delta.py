"""What makes a synthetic model one with gated delta nets: keys, and weights in place of a layer's attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import synthetic_mixture

VALUE_HEADS, DIM, ATTENDS = 4, 16, 4  # every fourth layer attends, or the last of fewer
KEYS = {
    "attention.key_length": 32,
    "attention.value_length": 32,
    "rope.dimension_count": 8,
    "ssm.conv_kernel": 4,
    "ssm.state_size": DIM,
    "ssm.group_count": 2,
    "ssm.time_step_rank": VALUE_HEADS,
    "ssm.inner_size": VALUE_HEADS * DIM,
}
Random = Callable[..., np.ndarray]  # of a shape


def turn(found: dict[str, np.ndarray], metadata: Mapping[str, Any], layer: int, matrix: Random, vector: Random) -> None:
    """Turn the weights of Llama's layer into those of a layer that attends with a gate, or has a delta net."""
    architecture = metadata["general.architecture"]
    key_dim, width = metadata[f"{architecture}.attention.key_length"], found["attn_q.weight"].shape[1]
    found["post_attention_norm.weight"] = found.pop("ffn_norm.weight")
    if (layer + 1) % min(ATTENDS, metadata[f"{architecture}.block_count"]) == 0:
        found |= {"attn_q_norm.weight": vector(key_dim), "attn_k_norm.weight": vector(key_dim)}
        found["attn_q.weight"] = matrix(2 * len(found["attn_q.weight"]), width)
    else:
        for name in ("q", "k", "v", "output"):
            del found[f"attn_{name}.weight"]
        found |= delta_net(metadata, width, matrix, vector)
    if f"{architecture}.expert_shared_feed_forward_length" in metadata:
        found |= synthetic_mixture.gated(matrix, vector)


def delta_net(metadata: Mapping[str, Any], width: int, matrix: Random, vector: Random) -> dict[str, np.ndarray]:
    """The weights of a layer's gated delta net."""
    architecture = metadata["general.architecture"]
    sizes = (metadata[f"{architecture}.ssm.{key}"] for key in ("group_count", "state_size", "conv_kernel"))
    key_heads, key_dim, taps = sizes
    keys, values = key_heads * key_dim, VALUE_HEADS * DIM
    betas = {"ssm_beta.weight": matrix(VALUE_HEADS, width), "ssm_alpha.weight": matrix(VALUE_HEADS, width)}
    if architecture == "qwen3next":
        betas = {"ssm_ba.weight": matrix(2 * VALUE_HEADS, width)}
    return {
        **betas,
        "attn_qkv.weight": matrix(2 * keys + values, width),
        "attn_gate.weight": matrix(values, width),
        "ssm_conv1d.weight": matrix(2 * keys + values, taps),
        "ssm_a": -np.exp(vector(VALUE_HEADS, -1)),
        "ssm_dt.bias": vector(VALUE_HEADS),
        "ssm_norm.weight": vector(DIM),
        "ssm_out.weight": matrix(width, values),
    }
