"""A mixture of experts, token by token: part of the reference forward, which see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference_forward import Reference


UNNORMALIZED = ("deepseek2", "qwen2moe")


def mixture(model: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """Softmax over all experts; the likeliest few, with their probabilities made to sum to 1 unless the architecture is
    one of UNNORMALIZED. GLM 4.5, LFM2 and DeepSeek V3 have sigmoids in place of probabilities, which are biased for the
    choice; the last choose groups of experts first, by their two best. Some have one expert for every token, which may
    be gated."""
    logits, y = model.linear(x, f"blk.{layer}.ffn_gate_inp"), np.zeros_like(x)
    gate, up, down = (products(model, f"blk.{layer}.ffn_{name}_exps") for name in ("gate", "up", "down"))
    sigmoids = model.get("expert_gating_func") == 2
    normal = model.get("expert_weights_norm", model.architecture not in UNNORMALIZED)
    bias = model.weight(f"blk.{layer}.exp_probs_b.bias") if sigmoids else 0
    count, used = model.get("expert_group_count", 1), model.get("expert_group_used_count", 1)
    groups = np.arange(logits.shape[1]) * count // logits.shape[1]
    for t, scores in enumerate(1 / (1 + np.exp(-logits)) if sigmoids else np.exp(log_softmax(logits))):
        biased = scores + bias
        best = [-np.sort(biased[groups == group])[-2:].sum() for group in range(count)]
        biased[(groups[:, None] != np.argsort(best)[:used]).all(axis=1)] = -np.inf
        chosen = np.argsort(-biased, kind="stable")[: model.get("expert_used_count")]
        for e in chosen:
            h = model.rounded(_activated(model, gate(x[t], e), up(x[t], e)), 4)
            share = model.rounded(scores[e] / (scores[chosen].sum() if normal else 1), 4)
            y[t] = model.rounded(y[t] + share * down(h, e), 2)
    y = y * model.get("expert_weights_scale", 1.0)
    if f"blk.{layer}.ffn_up_shexp.weight" not in model.weights:
        return y
    shared = model.feed_forward(x, layer, gemma=False, end="_shexp")
    if (name := f"blk.{layer}.ffn_gate_inp_shexp.weight") in model.weights:
        share = model.product(x, model.weight(name)[:, None])
        shared = model.rounded(shared / (1 + np.exp(-share)), 4)
    return model.rounded(y + shared)


def products(model: Reference, name: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """Of a vector with the matrix of an expert, and its biases if it has some."""
    weight, bias = model.weight(f"{name}.weight"), model.weights.get(f"{name}.bias")

    def product(x: np.ndarray, expert: int) -> np.ndarray:
        y = model.product(x, weight[expert].T)
        return y if bias is None else model.rounded(y + bias[expert])

    return product


def _activated(model: Reference, gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    if model.architecture != "gpt-oss":
        return silu(gate) * up
    gate = np.minimum(gate, 7)
    return gate / (1 + np.exp(-1.702 * gate)) * (np.clip(up, -7, 7) + 1)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))
