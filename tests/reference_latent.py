"""Multi-head latent attention of DeepSeek V2 (https://arxiv.org/abs/2405.04434, section 2.1) as it is described: every
head makes its own keys and values from the latent vectors. Part of the reference forward, which see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference_forward import Reference


def attention(model: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """The latent vector and the rotated key, which heads share, are what a cache holds."""
    of_layer, tokens, heads = f"blk.{layer}.attn_", len(x), model.get("attention.head_count")
    rank, rotated = model.get("attention.kv_lora_rank"), model.get("rope.dimension_count")
    if model.get("attention.q_lora_rank"):
        q = model.linear(model.norm(model.linear(x, of_layer + "q_a"), of_layer + "q_a_norm.weight"), of_layer + "q_b")
    else:
        q = model.linear(x, of_layer + "q")
    q = q.reshape(tokens, heads, model.get("attention.key_length_mla"))
    plain = q.shape[2] - rotated
    q = np.concatenate([q[..., :plain], model.rotate(q[..., plain:], local=False)], axis=2)

    both = model.linear(x, of_layer + "kv_a_mqa")
    latent = model.norm(both[:, :rank], of_layer + "kv_a_norm.weight")
    shared = model.rotate(both[:, None, rank:], local=False)
    latent, shared = (part.astype(model.cache).astype(np.float64) for part in (latent, shared))
    k_b, v_b = (model.weight(of_layer + f"{name}_b.weight") for name in "kv")
    keys = np.stack([model.product(latent, k_b[head]) for head in range(heads)], axis=1)
    keys = np.concatenate([keys, np.repeat(shared, heads, axis=1)], axis=2)
    values = np.stack([model.product(latent, v_b[head].T) for head in range(heads)], axis=1)
    grown = 1.0
    if model.get("rope.scaling.type") == "yarn":
        grown += model.get("rope.scaling.yarn_log_multiplier") * np.log(model.get("rope.scaling.factor"))
    return model.mixed(q, keys, values, grown**2 / np.sqrt(q.shape[2]), None, layer)
