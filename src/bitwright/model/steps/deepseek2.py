"""DeepSeek V2 and V3, and GLM 4.7 Flash: heads attend to one latent vector per token, of which each would make its own
keys and values; the first layers have one feed-forward, the others experts, and one that takes every token. Layers that
predict further tokens are left out.
"""

from __future__ import annotations

import numpy as np

from bitwright.kernels.ops import Buffer, Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forwards, the head."""
    s = Step()
    assert c.latent is not None
    frequencies = c.rope.inverse_frequencies()
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    last = max(layer for layer, own in enumerate(c.layers) if own.kind != "prediction")
    for layer in range(len(c.layers)):
        w = weights.layer(layer)
        if layer > last:
            w.leave_out()
            continue
        s.begin_layer(x)

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        h = attention(s, c, w, h, layer, frequencies)
        if layer == last:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, w("attn_output.weight", c.width, c.heads * c.latent.value)))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        if layer < c.leading_dense:
            h = feed_forward.separate(s, c, w, h, length=c.feed_forwards[layer])
        else:
            h = feed_forward.experts_and_shared(s, c, w, h)
        x = s.add(x, h)

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s


def attention(s: Step, c: Config, w: Weights, h: Buffer, layer: int, frequencies: np.ndarray) -> Buffer:
    """What a layer's heads see, before the projection of their outputs. A head's matrix of keys multiplies its query
    in place of all keys, and its matrix of values what it sees in place of all values: only the latent vectors are
    kept, with one rotated key that all heads share (DeepSeek-V2, https://arxiv.org/abs/2405.04434, section 2.1)."""
    assert c.latent is not None
    heads, own, rank, rotated = c.heads, c.latent.plain, c.latent.rank, c.rope.dim
    x, width, name = h, c.width, "attn_q"
    if query := c.latent.query_rank:
        x = s.linear(h, w("attn_q_a.weight", query, c.width))
        x, width, name = s.rms_norm(x, w("attn_q_a_norm.weight", query), c.eps), query, "attn_q_b"
    q = s.linear(x, w(f"{name}.weight", heads * (own + rotated), width))
    each = s.every(q, heads)
    plain = s.experts(s.columns(q, 0, own, slices=heads), each, w("attn_k_b.weight", heads, rank, own))
    turned = s.columns(q, own, rotated, slices=heads)
    turned = s.rope(turned, heads, rotated, frequencies, interleaved=True, magnitude=c.rope.magnitude)
    q = s.join(plain, turned, slices=heads)

    both = s.linear(h, w("attn_kv_a_mqa.weight", rank + rotated, c.width))
    k = s.rms_norm(s.columns(both, 0, rank), w("attn_kv_a_norm.weight", rank), c.eps)
    turned = s.columns(both, rank, rotated)
    turned = s.rope(turned, 1, rotated, frequencies, interleaved=True, magnitude=c.rope.magnitude)
    k = s.join(k, turned)
    h = s.attention(q, k, None, layer, heads, 1, rank + rotated, c.attention_scale, latent=rank)
    return s.experts(h, each, w("attn_v_b.weight", heads, c.latent.value, rank))
