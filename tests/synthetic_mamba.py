"""What makes a synthetic model one with layers of Mamba 2: keys, and weights in place of a layer's attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from synthetic_delta import Random
from synthetic_mixture import EXPERT_FEED_FORWARD, EXPERTS, EXPERTS_USED

SHARED = 40
KEYS: dict[str, Any] = {
    "attention.head_count_kv": [0, 0, 2, 0, 0, 2, 0],
    "embedding_scale": 6.0,
    "residual_scale": 0.22,
    "logit_scale": 0.5,
    "attention.scale": 0.3,
    "rope.scaling.finetuned": False,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 16,
    "ssm.group_count": 2,
    "ssm.time_step_rank": 4,
    "ssm.inner_size": 128,
}
MIXTURE: dict[str, Any] = {
    "feed_forward_length": EXPERT_FEED_FORWARD,
    "expert_count": EXPERTS,
    "expert_used_count": EXPERTS_USED,
    "expert_shared_feed_forward_length": SHARED,
}


def turn(found: dict[str, np.ndarray], metadata: Mapping[str, Any], layer: int, matrix: Random, vector: Random) -> None:
    """Turn the weights of Llama's layer into those of Granite 4's."""
    width = found["attn_q.weight"].shape[1]
    if not metadata["granitehybrid.attention.head_count_kv"][layer]:
        for name in ("q", "k", "v", "output"):
            del found[f"attn_{name}.weight"]
        found |= mamba(metadata, width, matrix, vector)
    if length := metadata.get("granitehybrid.expert_shared_feed_forward_length"):
        found |= {f"ffn_{name}_shexp.weight": matrix(length, width) for name in ("gate", "up")}
        found["ffn_down_shexp.weight"] = matrix(width, length)


def mamba(metadata: Mapping[str, Any], width: int, matrix: Random, vector: Random) -> dict[str, np.ndarray]:
    """The weights of a layer of Mamba 2."""
    sizes = (metadata[f"granitehybrid.ssm.{key}"] for key in ("inner_size", "group_count", "state_size"))
    inner, groups, state = sizes
    heads, taps = (metadata[f"granitehybrid.ssm.{key}"] for key in ("time_step_rank", "conv_kernel"))
    convolved = inner + 2 * groups * state
    return {
        "ssm_in.weight": matrix(inner + convolved + heads, width),
        "ssm_conv1d.weight": matrix(convolved, taps),
        "ssm_conv1d.bias": vector(convolved, 0),
        "ssm_dt.bias": vector(heads, -1),
        "ssm_a": -np.exp(vector(heads, -1))[:, None],
        "ssm_d": vector(heads)[:, None],
        "ssm_norm.weight": vector(inner).reshape(groups, -1),
        "ssm_out.weight": matrix(width, inner),
    }
