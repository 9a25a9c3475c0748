"""Granite 4: most layers are Mamba 2 (https://arxiv.org/abs/2405.21060), a few attend, usually without knowing
positions; experts and one that takes every token, or one feed-forward. Scaled as Granite 3 is.
"""

from __future__ import annotations

import numpy as np

from bitwright.kernels.ops import Buffer, Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.weights import Weights

Mixed = tuple[Buffer, str, str | None]  # what a layer mixed of the tokens, and the matrix and bias for its output


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's scan or attention and its feed-forward, the head."""
    s = Step()
    divisors = weights.rope_divisors(c.rope.dim)
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width), c.embedding_scale)
    for layer, own in enumerate(c.layers):
        s.begin_layer(x)
        w = weights.layer(layer)
        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        attends = own.kind == "attention"
        mixed, output, bias = attention(s, c, w, h, layer, divisors) if attends else mamba(s, c, w, h, layer)
        if layer == len(c.layers) - 1:
            x, mixed = s.select(x), s.select(mixed)
        x = s.add(x, s.scale(s.linear(mixed, output, bias), c.residual_scale))

        h = s.rms_norm(x, w("ffn_norm.weight", c.width), c.eps)
        x = s.add(x, s.scale(feed(s, c, w, h), c.residual_scale))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.scale(s.linear(x, *weights.head(c.vocabulary, c.width)), 1 / c.logit_scale))
    return s


def attention(s: Step, c: Config, w: Weights, h: Buffer, layer: int, divisors: np.ndarray | None) -> Mixed:
    """Grouped heads; positions, if known, rotate neighbours."""
    q_width = c.heads * c.head_dim
    q = s.linear(h, *w.linear("attn_q", q_width, c.width))
    k = s.linear(h, *w.linear("attn_k", c.kv_width, c.width))
    v = s.linear(h, *w.linear("attn_v", c.kv_width, c.width))
    if c.rotates:
        frequencies = c.rope.inverse_frequencies(divisors)
        q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=True, magnitude=c.rope.magnitude)
        k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=True, magnitude=c.rope.magnitude)
    mixed = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale)
    return mixed, *w.linear("attn_output", c.width, q_width)


def mamba(s: Step, c: Config, w: Weights, h: Buffer, layer: int) -> Mixed:
    """A selective scan. One matrix makes its gate; its values, keys and queries; and the length of each head's step."""
    d = c.delta
    assert d is not None
    values, groups = d.heads * d.value_dim, d.key_heads
    convolved = values + 2 * groups * d.key_dim
    both = s.linear(h, w("ssm_in.weight", values + convolved + d.heads, c.width))
    x, steps = s.columns(both, values, convolved), s.columns(both, values + convolved, d.heads)
    taps, bias = w("ssm_conv1d.weight", convolved, d.taps), w.optional("ssm_conv1d.bias", convolved)
    x = s.convolution(x, taps, layer, "silu", bias)
    shift = w("ssm_dt.bias", d.heads)
    decays, steps = s.decay(steps, shift, w("ssm_a", d.heads, 1)), s.decay(steps, shift)
    mixed = s.scan(x, decays, steps, w("ssm_d", d.heads, 1), layer, groups, d.key_dim, d.heads, d.value_dim)
    mixed = s.glu(s.columns(both, 0, values), mixed)
    mixed = s.rms_norm(mixed, w("ssm_norm.weight", groups, values // groups), c.eps, heads=groups)
    return mixed, w("ssm_out.weight", c.width, values), None


def feed(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """The feed-forward of a layer, or its experts."""
    if not c.experts:
        return feed_forward.separate(s, c, w, h)
    return (feed_forward.experts_and_shared if c.shared_feed_forward else feed_forward.experts)(s, c, w, h)
