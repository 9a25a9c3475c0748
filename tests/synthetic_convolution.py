"""What makes a synthetic model one with short convolutions: keys, and weights in place of a layer's attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

TAPS, KV_HEADS = 3, 2
KEYS = {
    "shortconv.l_cache": TAPS,
    "attention.head_count_kv": [0, 0, KV_HEADS, 0, KV_HEADS, 0, 0],
    "rope.freq_base": 1e6,
}
Random = Callable[..., np.ndarray]  # of a shape


def turn(found: dict[str, np.ndarray], metadata: Mapping[str, Any], layer: int, matrix: Random, vector: Random) -> None:
    """Turn the weights of Llama's layer into those of a layer that attends, or has a convolution between two gates."""
    width, head_dim = len(found["attn_norm.weight"]), len(found["attn_k.weight"]) // KV_HEADS
    if metadata[f"{metadata['general.architecture']}.attention.head_count_kv"][layer]:
        found |= {"attn_q_norm.weight": vector(head_dim), "attn_k_norm.weight": vector(head_dim)}
        return
    for name in ("q", "k", "v", "output"):
        del found[f"attn_{name}.weight"]
    found |= {
        "shortconv.in_proj.weight": matrix(3 * width, width),
        "shortconv.conv.weight": matrix(width, TAPS),
        "shortconv.out_proj.weight": matrix(width, width),
    }
