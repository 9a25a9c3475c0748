"""Gemma 4: layers with a sliding window, and layers with wider heads that see everything; later layers share the keys
and values of earlier ones. Small models give every layer an embedding of the token of its own, a mixture has experts
next to its feed-forwards.
"""

from __future__ import annotations

import math

import numpy as np

from bitwright.kernels.ops import Buffer, Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights

Kept = tuple[Buffer, Buffer, int]  # keys, values, and the layer whose cache they are in


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forward, the head."""
    s = Step()
    kept: dict[int, Kept] = {}
    divisors = weights.rope_divisors(c.rope.dim)
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width), scale=math.sqrt(c.width))
    own = own_embeddings(s, c, weights, x) if c.per_layer else None
    for layer in range(len(c.layers)):
        s.begin_layer(x)
        w = weights.layer(layer)
        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        h = attention(s, c, w, h, layer, kept, divisors)
        mine = None if own is None else s.columns(own, layer * c.per_layer, c.per_layer)
        if layer == len(c.layers) - 1:
            x, h, mine = s.select(x), s.select(h), None if mine is None else s.select(mine)
        h = s.linear(h, w("attn_output.weight", c.width, c.layers[layer].heads * c.layers[layer].key_dim))
        x = s.add(x, s.rms_norm(h, w("post_attention_norm.weight", c.width), c.eps))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        h = feed_forward.separate(s, c, w, h, "gelu_tanh", c.feed_forwards[layer])
        if c.experts:
            h = s.rms_norm(h, w("post_ffw_norm_1.weight", c.width), c.eps)
            h = s.add(h, experts(s, c, w, x))
        x = s.add(x, s.rms_norm(h, w("post_ffw_norm.weight", c.width), c.eps))
        if mine is not None:
            gate = s.linear(x, w("inp_gate.weight", c.per_layer, c.width))
            h = s.linear(s.glu(gate, mine, "gelu_tanh"), w("proj.weight", c.width, c.per_layer))
            x = s.add(x, s.rms_norm(h, w("post_norm.weight", c.width), c.eps))
        if scale := w.optional("layer_output_scale.weight", 1):
            x = s.scale(x, weight=scale)

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    logits = s.linear(x, *weights.head(c.vocabulary, c.width))
    s.logits(s.softcap(logits, c.final_softcap) if c.final_softcap else logits)
    return s


def own_embeddings(s: Step, c: Config, weights: Weights, x: Buffer) -> Buffer:
    """The embeddings of all layers, next to each other: looked up, and made from the embedding x that all share."""
    count, width = len(c.layers), len(c.layers) * c.per_layer
    found = s.embed(weights("per_layer_token_embd.weight", c.vocabulary, width), scale=math.sqrt(c.per_layer))
    made = s.linear(x, weights("per_layer_model_proj.weight", width, c.width))
    made = s.scale(made, 1 / math.sqrt(c.width))
    made = s.rms_norm(made, weights("per_layer_proj_norm.weight", c.per_layer), c.eps, heads=count)
    return s.scale(s.add(made, found), 1 / math.sqrt(2))


def attention(
    s: Step, c: Config, w: Weights, h: Buffer, layer: int, kept: dict[int, Kept], divisors: np.ndarray | None
) -> Buffer:
    """What a layer's heads see, before the projection of their outputs. `kept` are the keys and values of earlier
    layers. `divisors`, of layers that see everything, stop most of their pairs."""
    shape = c.layers[layer]
    heads, kv_heads, dim = shape.heads, shape.kv_heads, shape.key_dim
    rope = c.rope if shape.window is None else c.local_rope
    frequencies = rope.inverse_frequencies(divisors if shape.window is None else None)

    q = s.linear(h, w("attn_q.weight", heads * dim, c.width))
    q = s.rms_norm(q, w("attn_q_norm.weight", dim), c.eps, heads=heads)
    q = s.rope(q, heads, dim, frequencies, interleaved=False, magnitude=rope.magnitude)
    if shape.source is None:
        k = v = s.linear(h, w("attn_k.weight", kv_heads * dim, c.width))
        if w.has("attn_v.weight"):
            v = s.linear(h, w("attn_v.weight", kv_heads * dim, c.width))
        k = s.rms_norm(k, w("attn_k_norm.weight", dim), c.eps, heads=kv_heads)
        k = s.rope(k, kv_heads, dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        kept[layer] = k, s.rms_norm(v, None, c.eps, heads=kv_heads), layer
    else:
        for name, *own in (("k", kv_heads * dim, c.width), ("v", kv_heads * dim, c.width), ("k_norm", dim)):
            w.optional(f"attn_{name}.weight", *own)  # which published files have, and nothing reads
    k, v, cache = kept[layer if shape.source is None else shape.source]
    return s.attention(q, k, v, cache, heads, kv_heads, dim, c.attention_scale, shape.window)


def experts(s: Step, c: Config, w: Weights, x: Buffer) -> Buffer:
    """The experts that the router chooses for a token, by its values before any norm of the feed-forward."""
    length = c.expert_feed_forward
    h = s.scale(s.rms_norm(x, w("ffn_gate_inp.scale", c.width), c.eps), 1 / math.sqrt(c.width))
    choices = s.route(s.linear(h, w("ffn_gate_inp.weight", c.experts, c.width)), c.experts_used)
    h = s.rms_norm(x, w("pre_ffw_norm_2.weight", c.width), c.eps)
    both = s.experts(h, choices, w("ffn_gate_up_exps.weight", c.experts, 2 * length, c.width))
    gate, up = (s.columns(both, first, length, slices=c.experts_used) for first in (0, length))
    h = s.experts(s.glu(gate, up, "gelu_tanh"), choices, w("ffn_down_exps.weight", c.experts, c.width, length))
    h = s.combine(h, s.reweigh(choices, w("ffn_down_exps.scale", c.experts)))
    return s.rms_norm(h, w("post_ffw_norm_2.weight", c.width), c.eps)
