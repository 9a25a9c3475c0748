"""Gemma 3: most layers see a sliding window only, with their own rotary base; GeGLU; norms before and after each part.

GGUF files of this architecture store every norm's weight plus 1; the published model adds the 1 when it runs.
"""

from __future__ import annotations

import math

from bitwright.kernels.ops import Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights

LAYERS_27B = 62  # only this Gemma 3 scales attention by width / heads instead of head width; no key says so


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forward, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
    attention_scale = 1 / math.sqrt(c.width // c.heads) if len(c.layers) == LAYERS_27B else c.attention_scale
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width), scale=math.sqrt(c.width))
    for layer, window in enumerate(c.windows):
        s.begin_layer(x)
        w = weights.layer(layer)
        rope = c.local_rope if window else c.rope
        frequencies = rope.inverse_frequencies()

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        q = s.linear(h, w("attn_q.weight", q_width, c.width))
        k = s.linear(h, w("attn_k.weight", kv_width, c.width))
        v = s.linear(h, w("attn_v.weight", kv_width, c.width))
        q = s.rms_norm(q, w("attn_q_norm.weight", c.head_dim), c.eps, heads=c.heads)
        k = s.rms_norm(k, w("attn_k_norm.weight", c.head_dim), c.eps, heads=c.kv_heads)
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=rope.magnitude)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, attention_scale, window, c.attention_softcap)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        h = s.linear(h, w("attn_output.weight", c.width, q_width))
        x = s.add(x, s.rms_norm(h, w("post_attention_norm.weight", c.width), c.eps))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        h = feed_forward.separate(s, c, w, h, "gelu_tanh")
        x = s.add(x, s.rms_norm(h, w("post_ffw_norm.weight", c.width), c.eps))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    logits = s.linear(x, *weights.head(c.vocabulary, c.width))
    s.logits(s.softcap(logits, c.final_softcap) if c.final_softcap else logits)
    return s
