"""Phi 3 and 4: Llama's layers with one matrix for q, k and v, and one for gate and up. Some of them rotate only a part
of each head, at frequencies that differ between short and long contexts.
"""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forward, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
    frequencies = c.rope.inverse_frequencies(weights.long_rope_divisors(c.rope.dim, c.is_long))
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    for layer, window in enumerate(c.windows):
        s.begin_layer(x)
        w = weights.layer(layer)

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        qkv = s.linear(h, w("attn_qkv.weight", q_width + 2 * kv_width, c.width))
        q, k = s.columns(qkv, 0, q_width), s.columns(qkv, q_width, kv_width)
        v = s.columns(qkv, q_width + kv_width, kv_width)
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale, window)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, w("attn_output.weight", c.width, q_width)))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        x = s.add(x, feed_forward.fused(s, c, w, h))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s
