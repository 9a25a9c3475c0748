"""Qwen 2 and 2.5: Llama's layers with biases on q, k and v, and rotated pairs half a head apart."""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model.config import Config
from bitwright.model.feed_forward import FeedForward, separate
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights, feed_forward: FeedForward = separate) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forward, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
    frequencies = c.rope.inverse_frequencies()
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    for layer in range(len(c.layers)):
        s.begin_layer(x)
        w = weights.layer(layer)

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        q = s.linear(h, w("attn_q.weight", q_width, c.width), w("attn_q.bias", q_width))
        k = s.linear(h, w("attn_k.weight", kv_width, c.width), w("attn_k.bias", kv_width))
        v = s.linear(h, w("attn_v.weight", kv_width, c.width), w("attn_v.bias", kv_width))
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, w("attn_output.weight", c.width, q_width)))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        x = s.add(x, feed_forward(s, c, w, h))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s
