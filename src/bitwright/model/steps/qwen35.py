"""Qwen 3.5 and 3.6: most layers are gated delta nets; one in four attends, and a gate weakens what it returns. Only a
part of each head is rotated. Layers that predict further tokens are left out.
"""

from __future__ import annotations

from bitwright.kernels.ops import Buffer, Step
from bitwright.model.config import Config
from bitwright.model.feed_forward import FeedForward, separate
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights, feed_forward: FeedForward = separate) -> Step:
    """One step over a batch of tokens: embed, every layer's delta net or attention and its feed-forward, the head."""
    s = Step()
    x = s.embed(weights("token_embd.weight", c.vocabulary, c.width))
    last = max(layer for layer, own in enumerate(c.layers) if own.kind != "prediction")
    for layer, own in enumerate(c.layers):
        w = weights.layer(layer)
        if layer > last:
            w.leave_out()
            continue
        s.begin_layer(x)
        h = s.rms_norm(x, w("attn_norm.weight", c.width), c.eps)
        mixed, *output = attention(s, c, w, h, layer) if own.kind == "attention" else delta_net(s, c, w, h, layer)
        if layer == last:
            x, mixed = s.select(x), s.select(mixed)
        x = s.add(x, s.linear(mixed, *output))

        h = s.rms_norm(x, w("post_attention_norm.weight", c.width), c.eps)
        x = s.add(x, feed_forward(s, c, w, h))

    x = s.rms_norm(x, weights("output_norm.weight", c.width), c.eps)
    s.logits(s.linear(x, *weights.head(c.vocabulary, c.width)))
    return s


def attention(s: Step, c: Config, w: Weights, h: Buffer, layer: int) -> tuple[Buffer, str]:
    """Gated attention, and the name of the matrix for its output. Each head's query is followed by its gate."""
    q_width, frequencies = c.heads * c.head_dim, c.rope.inverse_frequencies()
    both = s.linear(h, w("attn_q.weight", 2 * q_width, c.width))
    k = s.linear(h, w("attn_k.weight", c.kv_width, c.width))
    v = s.linear(h, w("attn_v.weight", c.kv_width, c.width))
    q = s.rms_norm(s.columns(both, 0, c.head_dim, c.heads), w("attn_q_norm.weight", c.head_dim), c.eps, heads=c.heads)
    k = s.rms_norm(k, w("attn_k_norm.weight", c.head_dim), c.eps, heads=c.kv_heads)
    q = s.rope(q, c.heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
    k = s.rope(k, c.kv_heads, c.head_dim, frequencies, interleaved=False, magnitude=c.rope.magnitude)
    mixed = s.attention(q, k, v, layer, c.heads, c.kv_heads, c.head_dim, c.attention_scale)
    gate = s.columns(both, c.head_dim, c.head_dim, c.heads)
    return s.glu(gate, mixed, "sigmoid"), w("attn_output.weight", c.width, q_width)


def delta_net(s: Step, c: Config, w: Weights, h: Buffer, layer: int) -> tuple[Buffer, str]:
    """A gated delta net, and the name of the matrix for its output. Files hold the heads of values in the order in
    which they take turns with the heads of keys. Only those of Qwen3 Next hold them in groups, with one matrix for the
    betas and alphas of each group."""
    d = c.delta
    assert d is not None
    values, convolved = d.heads * d.value_dim, 2 * d.key_heads * d.key_dim + d.heads * d.value_dim
    qkv = s.linear(h, w("attn_qkv.weight", convolved, c.width))
    z = s.linear(h, w("attn_gate.weight", values, c.width))
    if grouped := c.architecture == "qwen3next":
        both, each = s.linear(h, w("ssm_ba.weight", 2 * d.heads, c.width)), d.heads // d.key_heads
        betas, alphas = (s.columns(both, first, each, d.key_heads) for first in (0, each))
    else:
        betas = s.linear(h, w("ssm_beta.weight", d.heads, c.width))
        alphas = s.linear(h, w("ssm_alpha.weight", d.heads, c.width))
    qkv = s.convolution(qkv, w("ssm_conv1d.weight", convolved, d.taps), layer, "silu")
    decays = s.decay(alphas, w("ssm_dt.bias", d.heads), w("ssm_a", d.heads))
    shape = d.key_heads, d.key_dim, d.heads, d.value_dim
    mixed = s.delta_rule(qkv, decays, betas, layer, *shape, tiled=not grouped, eps=c.eps)
    mixed = s.rms_norm(mixed, w("ssm_norm.weight", d.value_dim), c.eps, heads=d.heads)
    return s.glu(z, mixed), w("ssm_out.weight", c.width, values)
