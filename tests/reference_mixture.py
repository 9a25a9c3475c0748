"""A mixture of experts, token by token: part of the reference forward, which see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference_forward import Reference


def mixture(model: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """Softmax over all experts; the likeliest few, with their probabilities made to sum to 1."""
    logits, y = model.linear(x, f"blk.{layer}.ffn_gate_inp"), np.zeros_like(x)
    gate, up, down = (_products(model, f"blk.{layer}.ffn_{name}_exps") for name in ("gate", "up", "down"))
    for t, scores in enumerate(np.exp(log_softmax(logits))):
        chosen = sorted(range(len(scores)), key=lambda e: -scores[e])[: model.get("expert_used_count")]
        for e in chosen:
            h = model.rounded(_activated(model, gate(x[t], e), up(x[t], e)), 4)
            share = model.rounded(scores[e] / scores[chosen].sum(), 4)
            y[t] = model.rounded(y[t] + share * down(h, e), 2)
    return y * model.get("expert_weights_scale", 1.0)


def gemma4_mixture(
    model: Reference, x: np.ndarray, layer: int, activation: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The experts of Gemma 4: the router sees x without the norm of their input; the probabilities of those chosen are
    made to sum to 1, then each is multiplied by the expert's own scale."""
    normal = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + model.get("attention.layer_norm_rms_epsilon"))
    asked = model.rounded(normal * model.weight(f"blk.{layer}.ffn_gate_inp.scale") / np.sqrt(x.shape[1]), 5)
    logits, y = model.linear(asked, f"blk.{layer}.ffn_gate_inp"), np.zeros_like(x)
    h = model.norm(x, f"blk.{layer}.pre_ffw_norm_2.weight")
    both, down = (_products(model, f"blk.{layer}.ffn_{name}_exps") for name in ("gate_up", "down"))
    scales = model.weight(f"blk.{layer}.ffn_down_exps.scale")
    for t, scores in enumerate(np.exp(log_softmax(logits))):
        chosen = sorted(range(len(scores)), key=lambda e: -scores[e])[: model.get("expert_used_count")]
        for e in chosen:
            gate, up = np.split(both(h[t], e), 2)
            part = down(model.rounded(activation(gate) * up, 4), e)
            y[t] = model.rounded(y[t] + model.rounded(scales[e] * scores[e] / scores[chosen].sum(), 5) * part, 2)
    return model.norm(y, f"blk.{layer}.post_ffw_norm_2.weight")


def _products(model: Reference, name: str) -> Callable[[np.ndarray, int], np.ndarray]:
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
