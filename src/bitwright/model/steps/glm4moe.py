"""GLM 4.5 and 4.6: half of each head is rotated; the first layers have one feed-forward, the others experts, chosen by
sigmoids, and one that takes every token. Layers that predict further tokens are left out.
"""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forwards, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
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
        q = s.linear(h, *w.linear("attn_q", q_width, c.width))
        k = s.linear(h, *w.linear("attn_k", kv_width, c.width))
        v = s.linear(h, *w.linear("attn_v", kv_width, c.width))
        if w.has("attn_q_norm.weight"):
            q = s.rms_norm(q, w("attn_q_norm.weight", c.head_dim), c.eps, heads=c.heads)
            k = s.rms_norm(k, w("attn_k_norm.weight", c.head_dim), c.eps, heads=c.kv_heads)
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale)
        if layer == last:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, w("attn_output.weight", c.width, q_width)))

        h = s.rms_norm(x, w("post_attention_norm.weight", c.width), c.eps)
        if layer < c.leading_dense:
            h = feed_forward.separate(s, c, w, h, length=c.feed_forwards[layer])
        else:
            h = feed_forward.experts_and_shared(s, c, w, h)
        x = s.add(x, h)

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s
