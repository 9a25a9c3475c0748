"""Llama 1 to 3, and models like it (Mistral, SmolLM, TinyLlama): RMS norms, rotary positions, grouped heads, SwiGLU.

GGUF files of these architectures store the rows of q and k permuted, so that rotated pairs are adjacent. SmolLM 3 does
not rotate in every fourth layer; Ministral 3's queries grow with every original context; Granite scales its embedding,
what a layer adds, and its logits, and need not rotate.
"""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model.config import Config
from bitwright.model.weights import Weights

UNROTATED = {"smollm3": 4}  # every so many-th layer knows no positions; no key says so


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and feed-forward, the head."""
    s = Step()
    q_width, kv_width = c.heads * c.head_dim, c.kv_width
    frequencies = c.rope.inverse_frequencies(weights.rope_divisors(c.rope.dim))
    every = UNROTATED.get(c.architecture)
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width), c.embedding_scale)
    for layer in range(len(c.layers)):
        s.begin_layer(x)
        w = weights.layer(layer)

        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        q = s.linear(h, *w.linear("attn_q", q_width, c.width))
        k = s.linear(h, *w.linear("attn_k", kv_width, c.width))
        v = s.linear(h, *w.linear("attn_v", kv_width, c.width))
        if c.rotates and (every is None or (layer + 1) % every):
            q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=True, magnitude=c.rope.magnitude)
            k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=True, magnitude=c.rope.magnitude)
        if c.temperature:
            q = s.temperature(q, c.temperature, c.rope.original_context)
        h = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale)
        if layer == len(c.layers) - 1:
            x, h = s.select(x), s.select(h)
        h = s.linear(h, *w.linear("attn_output", c.width, q_width))
        x = s.add(x, s.scale(h, c.residual_scale) if c.residual_scale != 1 else h)

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        gate = s.linear(h, *w.linear("ffn_gate", c.feed_forward, c.width))
        up = s.linear(h, *w.linear("ffn_up", c.feed_forward, c.width))
        h = s.linear(s.glu(gate, up), *w.linear("ffn_down", c.width, c.feed_forward))
        x = s.add(x, s.scale(h, c.residual_scale) if c.residual_scale != 1 else h)

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    logits = s.linear(x, *weights.head(c.vocabulary, c.width))
    s.logits(s.scale(logits, 1 / c.logit_scale) if c.logit_scale != 1 else logits)
    return s
