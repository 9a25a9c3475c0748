"""The experts of a layer of the models of tests/synthetic_model.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

WIDTH, EXPERTS, EXPERTS_USED, EXPERT_FEED_FORWARD, SHARED = 64, 6, 3, 32, 40
MIXTURE = {
    "expert_count": EXPERTS,
    "expert_used_count": EXPERTS_USED,
    "expert_feed_forward_length": EXPERT_FEED_FORWARD,
}
Drawn = Callable[..., np.ndarray]
GATED = MIXTURE | {"expert_shared_feed_forward_length": SHARED}
LEADING = MIXTURE | {  # dense layers, then experts scored by sigmoids, and a layer that predicts further tokens
    "expert_shared_count": 2,
    "expert_gating_func": 2,
    "expert_weights_norm": True,
    "expert_weights_scale": 1.5,
    "leading_dense_block_count": 2,
    "nextn_predict_layers": 1,
}


def weights_of(architecture: str, matrix: Drawn, vector: Drawn) -> dict[str, np.ndarray]:
    """By their names within the layer. gpt-oss's are so large that the clamps catch some values."""
    size = 3 if architecture == "gpt-oss" else 1
    found = {
        "ffn_gate_inp.weight": matrix(EXPERTS, WIDTH),
        "ffn_gate_exps.weight": size * matrix(EXPERTS, EXPERT_FEED_FORWARD, WIDTH),
        "ffn_up_exps.weight": size * matrix(EXPERTS, EXPERT_FEED_FORWARD, WIDTH),
        "ffn_down_exps.weight": matrix(EXPERTS, WIDTH, EXPERT_FEED_FORWARD),
    }
    if architecture in ("deepseek2", "glm4moe", "lfm2moe"):
        found["exp_probs_b.bias"] = vector(EXPERTS, 0)
    if architecture in ("deepseek2", "glm4moe"):
        shared = 2 * EXPERT_FEED_FORWARD
        found |= {
            "ffn_gate_shexp.weight": matrix(shared, WIDTH),
            "ffn_up_shexp.weight": matrix(shared, WIDTH),
            "ffn_down_shexp.weight": matrix(WIDTH, shared),
        }
    return found | (gated(matrix, vector) if architecture == "qwen2moe" else {})


def gated(matrix: Drawn, vector: Drawn) -> dict[str, np.ndarray]:
    """The expert that takes every token, and its gate."""
    return {
        "ffn_gate_inp_shexp.weight": vector(WIDTH, 0),
        **{f"ffn_{name}_shexp.weight": matrix(SHARED, WIDTH) for name in ("gate", "up")},
        "ffn_down_shexp.weight": matrix(WIDTH, SHARED),
    }
