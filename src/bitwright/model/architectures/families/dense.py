"""Families with one attention and one feed-forward per layer."""

from __future__ import annotations

import math

from bitwright.errors import UnsupportedError
from bitwright.io.values import MAX_TOKENS
from bitwright.model.architectures.blueprint import Blueprint, rope_type

MISTRALS = ("mistral", "ministral3", "mistral3")  # language models of mistral3; others are mixtures


def decoder(
    b: Blueprint,
    tied: bool = False,
    bias: bool = False,
    qk_norm: bool = False,
    sandwich: bool = False,
    fused: str = "",
    output_bias: bool = False,
    feed_forward_bias: bool = False,
) -> None:
    """tied: the meaning of an absent `tie_word_embeddings`. bias: of q, k and v. sandwich: a norm after attention and
    feed-forward too. fused: "qkv" if q, k and v are one matrix, "up" if gate and up are one."""
    b.frame(tied)
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(bias, qk_norm, fused="qkv" in fused, output_bias=output_bias)
        b.norm("ffn_norm", b.width)
        length = b.values.integer("intermediate_size", low=1)
        b.feed_forward(length, fused="up" in fused, bias=feed_forward_bias)
        if sandwich:
            b.norm("post_attention_norm", b.width)
            b.norm("post_ffw_norm", b.width)


def llama(b: Blueprint) -> None:
    bias = b.values.flag("attention_bias", False)
    decoder(b, bias=bias, output_bias=bias, feed_forward_bias=b.values.flag("mlp_bias", False))


def mistral3(b: Blueprint) -> None:
    """Mistral's language models beside a vision tower, and Ministral 3, whose YaRN has two more keys."""
    llama(b)
    if (kind := b.values.text("model_type")) not in MISTRALS:
        raise UnsupportedError(f"{b.values.place}: model_type of the language model", kind, MISTRALS)
    scaling = b.rope_values()
    for key, name in (("mscale_all_dim", "rope__scaling__yarn_log_multiplier"),
                      ("llama_4_scaling_beta", "attention__temperature_scale")):  # fmt: skip
        if (value := scaling.optional(key)) is not None:
            b.key(**{name: value})


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
    values = b.values
    decoder(b, tied=True, qk_norm=True, sandwich=True)
    local = values.number("rope_local_base_freq", 10000.0, low=2)
    b.key(rope__freq_base_swa=b.rope_values("sliding_attention").number("rope_theta", local, low=2)
          if values.inner("rope_parameters").has("sliding_attention") else local)  # fmt: skip
    if (cap := values.optional("final_logit_softcapping")) is not None:
        b.key(final_logit_softcapping=cap)
    windows(b, 6, values.integer("sliding_window_pattern", 6, low=1))


def windows(b: Blueprint, usual: int, every: int) -> None:
    """Add the keys of the windows. Unless config.json lists the kinds of layers, one in `every` sees all tokens; GGUF
    lists them unless it is one in `usual`."""
    unlisted, windowed = ([index % n < n - 1 for index in range(b.layers)] for n in (usual, every))
    if kinds := b.values.names("layer_types", b.layers):
        windowed = [kind == "sliding_attention" for kind in kinds]
    if any(windowed):
        b.key(attention__sliding_window=b.values.integer("sliding_window", high=MAX_TOKENS))
        if windowed != unlisted:
            b.key(attention__sliding_window_pattern=windowed)


def phi3(b: Blueprint) -> None:
    decoder(b, fused="qkv up")
    scaling, name = b.rope_values(), "original_max_position_embeddings"
    usual = b.values.integer(name, b.context, low=2, high=MAX_TOKENS)
    original = scaling.integer(name, usual, low=2, high=MAX_TOKENS)
    b.key(rope__dimension_count=b.rotated, rope__scaling__original_context_length=original)
    b.key(attention__sliding_window=b.values.integer("sliding_window", 0, high=MAX_TOKENS))
    if rope_type(scaling):
        factor = scaling.number("factor", b.context / original)
        magnitude = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
        b.key(rope__scaling__attn_factor=scaling.number("attention_factor", magnitude))


def granite(b: Blueprint) -> None:
    llama(b)
    multipliers(b)


def multipliers(b: Blueprint) -> None:
    """Granite's factors of embeddings, scores, what a layer adds, and logits."""
    b.key(logit_scale=b.values.number("logits_scaling", 1.0))
    b.key(embedding_scale=b.values.number("embedding_multiplier", 1.0))
    b.key(residual_scale=b.values.number("residual_multiplier", 1.0))
    b.key(attention__scale=b.values.number("attention_multiplier", 1.0))


def glm4(b: Blueprint) -> None:
    decoder(b, bias=b.values.flag("attention_bias", True), sandwich=True, fused="up")
    b.key(rope__dimension_count=b.rotated)


def olmo2(b: Blueprint) -> None:
    b.frame()
    for _ in b.blocks():
        b.attention()
        b.norm("attn_q_norm", b.heads * b.head_dim)
        b.norm("attn_k_norm", b.kv_heads * b.head_dim)
        b.norm("post_attention_norm", b.width)
        b.feed_forward(b.values.integer("intermediate_size", low=1))
        b.norm("post_ffw_norm", b.width)


def olmo3(b: Blueprint) -> None:
    olmo2(b)
    windows(b, 4, 4)
    local = b.values.inner("rope_parameters").inner("sliding_attention")
    b.key(rope__freq_base_swa=local.number("rope_theta", 5e5, low=2))  # transformers' default, whatever others have
