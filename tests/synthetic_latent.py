"""What makes a synthetic model one with latent attention: keys, and weights in place of a layer's attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

RANK, QUERY_RANK, PLAIN, ROTATED, VALUE = 40, 24, 12, 8, 20
KEYS = {
    "attention.head_count_kv": 1,
    "attention.kv_lora_rank": RANK,
    "attention.q_lora_rank": QUERY_RANK,
    "attention.key_length": RANK + ROTATED,
    "attention.value_length": RANK,
    "attention.key_length_mla": PLAIN + ROTATED,
    "attention.value_length_mla": VALUE,
    "rope.dimension_count": ROTATED,
}
YARN = {
    "rope__scaling__type": "yarn",
    "rope__scaling__factor": 4.0,
    "rope__scaling__original_context_length": 24,
    "rope__scaling__yarn_log_multiplier": 0.0707,
}
Random = Callable[..., np.ndarray]  # of a shape


def turn(found: dict[str, np.ndarray], metadata: Mapping[str, Any], matrix: Random, vector: Random) -> None:
    """Turn the weights of Llama's layer into those of a layer with latent attention."""
    heads, query = (metadata[f"deepseek2.attention.{key}"] for key in ("head_count", "q_lora_rank"))
    width = len(found["attn_norm.weight"])
    for name in ("q", "k", "v"):
        del found[f"attn_{name}.weight"]
    rows = heads * (PLAIN + ROTATED)
    if query:
        found |= {"attn_q_a.weight": matrix(query, width), "attn_q_a_norm.weight": vector(query)}
        found["attn_q_b.weight"] = matrix(rows, query)
    else:
        found["attn_q.weight"] = matrix(rows, width)
    found |= {
        "attn_kv_a_mqa.weight": matrix(RANK + ROTATED, width),
        "attn_kv_a_norm.weight": vector(RANK),
        "attn_k_b.weight": matrix(heads, RANK, PLAIN) * np.float32(np.sqrt(PLAIN / RANK)),
        "attn_v_b.weight": matrix(heads, VALUE, RANK),
        "attn_output.weight": matrix(width, heads * VALUE),
    }
