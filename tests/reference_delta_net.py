"""The gated delta net of the reference forward, which see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from reference_mixture import silu

if TYPE_CHECKING:
    from reference_forward import Reference


def delta_net(r: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """A gated delta net (Yang, Kautz, Hatamizadeh 2024), token by token: its state forgets a share of what it holds,
    then the value that it has for a key moves towards the token's."""
    tokens, heads, key_heads = len(x), r.get("ssm.time_step_rank"), r.get("ssm.group_count")
    width, key_dim = r.get("ssm.inner_size") // heads, r.get("ssm.state_size")
    eps = r.get("attention.layer_norm_rms_epsilon")
    qkv, z = (r.linear(x, f"blk.{layer}.{name}") for name in ("attn_qkv", "attn_gate"))
    grouped = r.architecture == "qwen3next"
    if grouped:  # the betas of a head of keys, then its alphas
        both = r.linear(x, f"blk.{layer}.ssm_ba").reshape(tokens, key_heads, 2, -1)
        beta, alpha = (both[:, :, part].reshape(tokens, heads) for part in (0, 1))
    else:
        beta, alpha = (r.linear(x, f"blk.{layer}.{name}") for name in ("ssm_beta", "ssm_alpha"))
    q, k, v = np.split(convolved(r, qkv, layer), [key_heads * key_dim, 2 * key_heads * key_dim], axis=1)
    q, k = q.reshape(tokens, key_heads, key_dim), k.reshape(tokens, key_heads, key_dim)
    q, k = (r.rounded(y / np.sqrt(np.sum(y**2, axis=2, keepdims=True) + eps), 4) for y in (q, k))
    v = v.reshape(tokens, heads, width)
    beta = r.rounded(1 / (1 + np.exp(-beta)), 4)
    kept = r.weight(f"blk.{layer}.ssm_a") * np.log(1 + np.exp(alpha + r.weight(f"blk.{layer}.ssm_dt.bias")))
    kept, mixed = r.rounded(np.exp(r.rounded(kept, 4)), 2), np.zeros((tokens, heads, width))
    for head in range(heads):
        state, own = np.zeros((key_dim, width)), head // (heads // key_heads) if grouped else head % key_heads
        for t in range(tokens):
            state = r.rounded(state * kept[t, head])
            change = r.rounded(beta[t, head] * (v[t, head] - r.product(k[t, own], state)), 2)
            state = r.rounded(state + np.outer(k[t, own], change), 2)
            mixed[t, head] = r.rounded(r.product(q[t, own], state) / np.sqrt(key_dim))
    mixed = r.norm(mixed, f"blk.{layer}.ssm_norm.weight").reshape(tokens, heads * width)
    return r.linear(r.rounded(mixed * silu(z), 4), f"blk.{layer}.ssm_out")


def convolved(r: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """x (tokens, channels) after the short convolution of each channel, its bias if there is one, and SiLU."""
    kernel, taps, y = r.weight(f"blk.{layer}.ssm_conv1d.weight"), r.get("ssm.conv_kernel"), np.empty_like(x)
    bias = r.weight(name) if (name := f"blk.{layer}.ssm_conv1d.bias") in r.weights else 0
    padded = np.vstack([np.zeros((taps - 1, x.shape[1])), x])
    for t in range(len(x)):
        sums = r.product(padded[t : t + taps].T[:, None], kernel[:, :, None])[:, 0, 0]
        y[t] = r.rounded(silu(r.rounded(sums + bias)), 4)
    return y
