"""gpt-oss: biases everywhere, and a sink for each head; every other layer sees a sliding window only; experts with a
clamped SwiGLU.
"""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and experts, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    for layer, window in enumerate(c.windows):
        s.begin_layer(x)
        w = weights.layer(layer)
        rope = c.local_rope if window else c.rope
        frequencies = rope.inverse_frequencies()

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        q = s.linear(h, *w.linear("attn_q", q_width, c.width))
        k = s.linear(h, *w.linear("attn_k", kv_width, c.width))
        v = s.linear(h, *w.linear("attn_v", kv_width, c.width))
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        sinks = w("attn_sinks.weight", c.heads)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale, window, sinks=sinks)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        x = s.add(x, s.linear(h, *w.linear("attn_output", c.width, q_width)))

        h = s.rms_norm(x, w("post_attention_norm.weight", c.width), c.eps)
        x = s.add(x, feed_forward.experts(s, c, w, h, "clamped"))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s
