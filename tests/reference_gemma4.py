"""What sets Gemma 4 apart: part of the reference forward, which see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from reference_mixture import log_softmax, products

if TYPE_CHECKING:
    from reference_forward import Reference


def own_embeddings(model: Reference, ids: list[int], x: np.ndarray) -> np.ndarray | None:
    """What each layer of a small Gemma 4 adds for a token (tokens, layers, width): half of it looked up, half made
    from the embedding."""
    if not (width := model.get("embedding_length_per_layer_input")):
        return None
    looked_up = np.asarray(model.weights["per_layer_token_embd.weight"][ids], np.float64)
    looked_up = looked_up.reshape(len(ids), -1, width)
    made = model.linear(x, "per_layer_model_proj") / np.sqrt(x.shape[1])
    made = model.norm(model.rounded(made).reshape(looked_up.shape), "per_layer_proj_norm.weight")
    return model.rounded((made + model.rounded(looked_up * np.sqrt(width))) / np.sqrt(2), 2)


def attention(model: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """Layers with a window, and those without one, have their own width and number of heads. The last layers use
    the keys and values of the last layer before them that sees as far. Keys are values where there is no matrix for
    these. Scores are not scaled; values are normed without a weight."""
    window, tokens, of_layer = model.window(layer), len(x), f"blk.{layer}.attn_"
    dim = model.get("attention.key_length_swa" if window else "attention.key_length")
    q = model.linear(x, of_layer + "q").reshape(tokens, -1, dim)
    q = model.rotate(model.norm(q, of_layer + "q_norm.weight"), window is not None)
    if layer < model.get("block_count") - model.get("attention.shared_kv_layers", 0):
        k = v = model.linear(x, of_layer + "k").reshape(tokens, -1, dim)
        if of_layer + "v.weight" in model.weights:
            v = model.linear(x, of_layer + "v").reshape(tokens, -1, dim)
        v = v / np.sqrt(np.mean(v**2, axis=-1, keepdims=True) + model.get("attention.layer_norm_rms_epsilon"))
        k = model.rotate(model.norm(k, of_layer + "k_norm.weight"), window is not None)
        model.memory[window] = [y.astype(model.cache).astype(np.float64) for y in (k, model.rounded(v, 3))]
    return model.mixed(q, *model.memory[window], 1.0, window, layer)


def mixture(model: Reference, x: np.ndarray, layer: int, activation: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The experts of Gemma 4: the router sees x without the norm of their input; the probabilities of those chosen are
    made to sum to 1, then each is multiplied by the expert's own scale."""
    normal = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + model.get("attention.layer_norm_rms_epsilon"))
    asked = model.rounded(normal * model.weight(f"blk.{layer}.ffn_gate_inp.scale") / np.sqrt(x.shape[1]), 5)
    logits, y = model.linear(asked, f"blk.{layer}.ffn_gate_inp"), np.zeros_like(x)
    h = model.norm(x, f"blk.{layer}.pre_ffw_norm_2.weight")
    both, down = (products(model, f"blk.{layer}.ffn_{name}_exps") for name in ("gate_up", "down"))
    scales = model.weight(f"blk.{layer}.ffn_down_exps.scale")
    for t, scores in enumerate(np.exp(log_softmax(logits))):
        chosen = sorted(range(len(scores)), key=lambda e: -scores[e])[: model.get("expert_used_count")]
        for e in chosen:
            gate, up = np.split(both(h[t], e), 2)
            part = down(model.rounded(activation(gate) * up, 4), e)
            y[t] = model.rounded(y[t] + model.rounded(scales[e] * scores[e] / scores[chosen].sum(), 5) * part, 2)
    return model.norm(y, f"blk.{layer}.post_ffw_norm_2.weight")
