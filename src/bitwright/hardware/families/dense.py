"""Families of one feed-forward and one attention a layer."""

from __future__ import annotations

from bitwright.hardware.draft import Draft


def decoder(
    d: Draft, tied: bool = False, bias: bool = False, qk_norm: bool = False, sandwich: bool = False, fused: str = ""
) -> None:
    """tied: what an absent `tie_word_embeddings` means. sandwich: a norm after attention and feed-forward too. fused:
    "qkv" and "up" where these are one matrix each."""
    d.frame(tied)
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention(bias, qk_norm, fused="qkv" in fused)
        d.norm("ffn_norm", d.width)
        d.feed_forward(d.facts.integer("intermediate_size", low=1), fused="up" in fused)
        if sandwich:
            d.norm("post_attention_norm", d.width)
            d.norm("post_ffw_norm", d.width)


def llama(d: Draft) -> None:
    decoder(d, bias=d.facts.flag("attention_bias", False))


def smollm3(d: Draft) -> None:
    decoder(d, tied=True)


def qwen2(d: Draft) -> None:
    decoder(d, bias=True)


def qwen3(d: Draft) -> None:
    decoder(d, qk_norm=True)


def gemma(d: Draft) -> None:
    decoder(d, tied=True)


def gemma2(d: Draft) -> None:
    decoder(d, tied=True, sandwich=True)
    d.key(attention__sliding_window=d.facts.integer("sliding_window", 4096))


def gemma3(d: Draft) -> None:
    """Where config.json tells each layer's kind, as newer ones do, so do the keys: else every sixth sees everything."""
    decoder(d, tied=True, qk_norm=True, sandwich=True)
    d.key(attention__sliding_window=d.facts.integer("sliding_window", 1024))
    if kinds := d.facts.names("layer_types", d.layers):
        d.key(attention__sliding_window_pattern=[kind == "sliding_attention" for kind in kinds])


def phi3(d: Draft) -> None:
    decoder(d, fused="qkv up")


def granite(d: Draft) -> None:
    decoder(d, tied=True)
    d.key(logit_scale=float(d.facts.values.get("logits_scaling", 1)))


def glm4(d: Draft) -> None:
    decoder(d, bias=d.facts.flag("attention_bias", False), sandwich=True, fused="up")
