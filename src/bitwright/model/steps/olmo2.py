"""OLMo 2 and 3: norms after attention and feed-forward instead of before, and over all queries and all keys of a token
at once. In OLMo 3 most layers see a sliding window only; their rotations are not stretched.
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
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    for layer, window in enumerate(c.windows):
        s.begin_layer(x)
        w = weights.layer(layer)
        rope = c.local_rope if window else c.rope
        frequencies = rope.inverse_frequencies()

        q = s.linear(x, w("attn_q.weight", q_width, c.width))
        k = s.linear(x, w("attn_k.weight", kv_width, c.width))
        v = s.linear(x, w("attn_v.weight", kv_width, c.width))
        q = s.rms_norm(q, w("attn_q_norm.weight", q_width), c.eps)
        k = s.rms_norm(k, w("attn_k_norm.weight", kv_width), c.eps)
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale, window)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        h = s.linear(h, w("attn_output.weight", c.width, q_width))
        x = s.add(x, s.rms_norm(h, w("post_attention_norm.weight", c.width), c.eps))

        h = feed_forward.separate(s, c, w, x)
        x = s.add(x, s.rms_norm(h, w("post_ffw_norm.weight", c.width), c.eps))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s
