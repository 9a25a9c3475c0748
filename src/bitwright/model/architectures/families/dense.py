"""Families with one attention and one feed-forward per layer."""

from __future__ import annotations

from bitwright.io.values import MAX_TOKENS
from bitwright.model.architectures.blueprint import Blueprint


def decoder(
    b: Blueprint, tied: bool = False, bias: bool = False, qk_norm: bool = False, sandwich: bool = False, fused: str = ""
) -> None:
    """tied: the meaning of an absent `tie_word_embeddings`. sandwich: a norm after attention and feed-forward too.
    fused: "qkv" if q, k and v are one matrix, "up" if gate and up are one."""
    b.frame(tied)
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(bias, qk_norm, fused="qkv" in fused)
        b.norm("ffn_norm", b.width)
        b.feed_forward(b.values.integer("intermediate_size", low=1), fused="up" in fused)
        if sandwich:
            b.norm("post_attention_norm", b.width)
            b.norm("post_ffw_norm", b.width)


def llama(b: Blueprint) -> None:
    decoder(b, bias=b.values.flag("attention_bias", False))


def smollm3(b: Blueprint) -> None:
    decoder(b, tied=True)


def qwen2(b: Blueprint) -> None:
    decoder(b, bias=True)


def qwen3(b: Blueprint) -> None:
    decoder(b, qk_norm=True)


def gemma(b: Blueprint) -> None:
    decoder(b, tied=True)


def gemma2(b: Blueprint) -> None:
    decoder(b, tied=True, sandwich=True)
    b.key(attention__sliding_window=b.values.integer("sliding_window", 4096, high=MAX_TOKENS))


def gemma3(b: Blueprint) -> None:
    """A newer config.json lists each layer's kind. Without a list, every sixth layer sees all tokens."""
    decoder(b, tied=True, qk_norm=True, sandwich=True)
    b.key(attention__sliding_window=b.values.integer("sliding_window", high=MAX_TOKENS))
    if kinds := b.values.names("layer_types", b.layers):
        b.key(attention__sliding_window_pattern=[kind == "sliding_attention" for kind in kinds])


def phi3(b: Blueprint) -> None:
    decoder(b, fused="qkv up")


def granite(b: Blueprint) -> None:
    decoder(b, tied=True)
    b.key(logit_scale=b.values.number("logits_scaling", 1.0))


def glm4(b: Blueprint) -> None:
    decoder(b, bias=b.values.flag("attention_bias", False), sandwich=True, fused="up")
