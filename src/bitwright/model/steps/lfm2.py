"""LFM2: most layers mix tokens by a short convolution between two gates, the others attend. In models with experts
(lfm2moe), which are chosen by sigmoids, the first layers have one feed-forward. transformers adds 1e-6 to the sum by
which it divides those sigmoids; llama.cpp and this file do not.
"""

from __future__ import annotations

from bitwright.kernels.ops import Buffer, Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's convolution or attention and its feed-forward, the head."""
    s = Step()
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    for layer, own in enumerate(c.layers):
        s.begin_layer(x)
        w = weights.layer(layer)

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        mixed, output = attention(s, c, w, h, layer) if own.kind == "attention" else convolution(s, c, w, h, layer)
        if layer == len(c.layers) - 1:
            x, mixed = s.select(x), s.select(mixed)
        x = s.add(x, s.linear(mixed, output))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        if c.experts and layer >= c.leading_dense:
            h = feed_forward.experts(s, c, w, h)
        else:
            h = feed_forward.separate(s, c, w, h)
        x = s.add(x, h)

    x = s.rms_norm(x, weights("token_embd_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s


def attention(s: Step, c: Config, w: Weights, h: Buffer, layer: int) -> tuple[Buffer, str]:
    """Attention with a norm on every head's query and key, and the name of the matrix for its output."""
    q_width, frequencies = c.heads * c.head_dim, c.rope.inverse_frequencies()
    q = s.linear(h, w("attn_q.weight", q_width, c.width))
    k = s.linear(h, w("attn_k.weight", c.kv_width, c.width))
    v = s.linear(h, w("attn_v.weight", c.kv_width, c.width))
    q = s.rms_norm(q, w("attn_q_norm.weight", c.head_dim), c.eps, heads=c.heads)
    k = s.rms_norm(k, w("attn_k_norm.weight", c.head_dim), c.eps, heads=c.kv_heads)
    q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
    k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
    shape = c.heads, c.kv_heads, c.head_dim
    mixed = s.attention(q, k, v, layer, *shape, c.attention_scale, c.windows[layer])
    return mixed, w("attn_output.weight", c.width, q_width)


def convolution(s: Step, c: Config, w: Weights, h: Buffer, layer: int) -> tuple[Buffer, str]:
    """A convolution of products with one gate, times another gate, and the name of the matrix for its output."""
    parts = s.linear(h, w("shortconv.in_proj.weight", 3 * c.width, c.width))
    before, after, x = (s.columns(parts, part * c.width, c.width) for part in range(3))
    x = s.convolution(s.glu(before, x, "identity"), w("shortconv.conv.weight", c.width, c.taps), layer)
    return s.glu(after, x, "identity"), w("shortconv.out_proj.weight", c.width, c.width)
