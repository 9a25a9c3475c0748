"""Mixtures of experts: a layer holds many feed-forwards, and a token uses a few."""

from __future__ import annotations

from bitwright import formats
from bitwright.io.values import MAX_TOKENS
from bitwright.model.architectures.blueprint import Blueprint


def routed(b: Blueprint, count: str, length: str, shared: int = 0) -> tuple[int, int]:
    """Add the keys of a mixture; returns the number of experts and the length of one. count, length: their names
    in config.json. shared: length of the expert that takes every token."""
    experts, size = b.values.integer(count, low=1), b.values.integer(length, low=1)
    b.key(expert_count=experts, expert_used_count=b.values.integer("num_experts_per_tok", low=1))
    b.key(expert_feed_forward_length=size)
    if shared:
        b.key(expert_shared_feed_forward_length=shared)
    return experts, size


def leading(b: Blueprint, experts: int, size: int, shared: int, biased: bool = True) -> None:
    """Add the current layer's feed-forward: dense in the first layers, then experts, one of them for all tokens.
    biased: for the choice."""
    assert b.at is not None
    if b.at < b.values.integer("first_k_dense_replace", 0):
        return b.feed_forward(b.values.integer("intermediate_size", low=1))
    b.experts(experts, size)
    if biased:
        b.vector("exp_probs_b.bias", experts)
    if shared:
        b.feed_forward(shared * size, "_shexp")
    return None


def leading_keys(b: Blueprint, shared: int, gating: int = 2) -> None:
    """gating: 1 for a softmax, 2 for sigmoids."""
    b.key(leading_dense_block_count=b.values.integer("first_k_dense_replace", 0), expert_shared_count=shared)
    b.key(expert_gating_func=gating)


def grouped_keys(b: Blueprint) -> None:
    """Of experts in groups, of which a token uses some."""
    for key, of in (("expert_group_count", "n_group"), ("expert_group_used_count", "topk_group")):
        if b.values.has(of):
            b.key(**{key: b.values.integer(of, low=1)})


def predicting_keys(b: Blueprint) -> int:
    """How many layers predict further tokens."""
    if predicting := b.values.integer("num_nextn_predict_layers", 0):
        b.key(block_count=b.layers + predicting, nextn_predict_layers=predicting)
    return predicting


def predicting_layer(b: Blueprint) -> None:
    """Add what a layer that predicts further tokens has besides, if the current layer is one."""
    if b.at is None or b.at < b.layers:
        return
    b.matrix("nextn.eh_proj", b.width, 2 * b.width)
    for norm in ("enorm", "hnorm", "shared_head_norm"):
        b.norm(f"nextn.{norm}", b.width)
    for copy in ("embed_tokens", "shared_head_head"):
        b.matrix(f"nextn.{copy}", b.values.integer("vocab_size", low=1), b.width)


def qwen2_moe(b: Blueprint) -> None:
    """One expert has its own gate and takes every token."""
    b.frame()
    shared = b.values.integer("shared_expert_intermediate_size", low=1)
    experts, size = routed(b, "num_experts", "moe_intermediate_size", shared)
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(bias=True)
        b.norm("ffn_norm", b.width)
        gated(b, experts, size, shared)


def gated(b: Blueprint, experts: int, size: int, shared: int) -> None:
    """Add the current layer's experts, and one of length `shared` that takes every token and has a gate."""
    b.experts(experts, size)
    b.vector("ffn_gate_inp_shexp.weight", b.width)
    b.feed_forward(shared, "_shexp")


def qwen3_moe(b: Blueprint) -> None:
    b.frame()
    experts, size = routed(b, "num_experts", "moe_intermediate_size")
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(qk_norm=True)
        b.norm("ffn_norm", b.width)
        b.experts(experts, size)


def gpt_oss(b: Blueprint) -> None:
    """Biases everywhere, a sink per head, and experts in MXFP4 if config.json says so."""
    b.frame()
    experts, size = routed(b, "num_local_experts", "intermediate_size")
    b.key(attention__sliding_window=b.values.integer("sliding_window", 128, high=MAX_TOKENS))
    packed = b.values.inner("quantization_config").text("quant_method", "") == "mxfp4"
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(bias=True)
        b.vector("attn_output.bias", b.width)
        b.vector("attn_sinks.weight", b.heads)
        b.norm("post_attention_norm", b.width)
        b.experts(experts, size, formats.get("mxfp4") if packed else None)
        b.vector("ffn_gate_inp.bias", experts)
        for name, rows in (("gate", size), ("up", size), ("down", b.width)):
            b.vector(f"ffn_{name}_exps.bias", experts, rows)


def glm4_moe(b: Blueprint) -> None:
    b.frame()
    experts, size = routed(b, "n_routed_experts", "moe_intermediate_size")
    shared = b.values.integer("n_shared_experts", 1)
    leading_keys(b, shared)
    b.key(expert_weights_norm=b.values.flag("norm_topk_prob", True), rope__dimension_count=b.rotated)
    b.key(expert_weights_scale=b.values.number("routed_scaling_factor", 1.0))
    grouped_keys(b)
    for _ in b.blocks(predicting_keys(b)):
        b.norm("attn_norm", b.width)
        b.attention(bias=b.values.flag("attention_bias", False), qk_norm=b.values.flag("use_qk_norm", False))
        b.norm("post_attention_norm", b.width)
        leading(b, experts, size, shared)
        predicting_layer(b)


def minimax_m2(b: Blueprint) -> None:
    """The norms of q and k span all heads."""
    b.frame()
    experts, size = routed(b, "num_local_experts", "intermediate_size")
    b.key(expert_gating_func=2, rope__dimension_count=b.values.integer("rotary_dim", b.head_dim))
    for _ in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention()
        b.norm("attn_q_norm", b.heads * b.head_dim)
        b.norm("attn_k_norm", b.kv_heads * b.head_dim)
        b.norm("ffn_norm", b.width)
        b.experts(experts, size)
        b.vector("exp_probs_b.bias", experts)


def latent_keys(b: Blueprint) -> None:
    """Latent attention, which llama.cpp runs as one head whose keys are the latent vector and its rotary part."""
    values = b.values
    rank, rope = values.integer("kv_lora_rank", low=1), values.integer("qk_rope_head_dim", low=1)
    b.key(attention__head_count_kv=1, attention__kv_lora_rank=rank, rope__dimension_count=rope)
    b.key(attention__key_length=rank + rope, attention__value_length=rank)
    b.key(attention__key_length_mla=values.integer("qk_nope_head_dim", low=1) + rope)
    b.key(attention__value_length_mla=values.integer("v_head_dim", low=1))
    if values.integer("q_lora_rank", 0):
        b.key(attention__q_lora_rank=values.integer("q_lora_rank"))


def latent_attention(b: Blueprint) -> None:
    values, heads = b.values, b.heads
    rank, rope, value = (values.integer(key, low=1) for key in ("kv_lora_rank", "qk_rope_head_dim", "v_head_dim"))
    nope = values.integer("qk_nope_head_dim", low=1)
    if query := values.integer("q_lora_rank", 0):
        b.norm("attn_q_a_norm", query)
        b.matrix("attn_q_a", query, b.width)
        b.matrix("attn_q_b", heads * (nope + rope), query)
    else:
        b.matrix("attn_q", heads * (nope + rope), b.width)
    b.norm("attn_kv_a_norm", rank)
    b.matrix("attn_kv_a_mqa", rank + rope, b.width)
    b.matrix("attn_k_b", heads, rank, nope)
    b.matrix("attn_v_b", heads, value, rank)
    b.matrix("attn_output", b.width, heads * value)


def deepseek2(b: Blueprint) -> None:
    """DeepSeek V2, whose experts are scored by a softmax, V3, and others built like it."""
    gating = 1 if b.values.text("model_type") == "deepseek_v2" else 2
    b.frame()
    latent_keys(b)
    experts, size = routed(b, "n_routed_experts", "moe_intermediate_size")
    shared = b.values.integer("n_shared_experts", 1)
    leading_keys(b, shared, gating)
    grouped_keys(b)
    b.key(expert_weights_scale=b.values.number("routed_scaling_factor", 1.0))
    if b.values.flag("norm_topk_prob", False):
        b.key(expert_weights_norm=True)
    if grown := b.rope_values().optional("mscale_all_dim"):
        b.key(rope__scaling__yarn_log_multiplier=0.1 * grown)
    for _ in b.blocks(predicting_keys(b)):
        b.norm("attn_norm", b.width)
        latent_attention(b)
        b.norm("ffn_norm", b.width)
        leading(b, experts, size, shared, biased=gating == 2)
        predicting_layer(b)
