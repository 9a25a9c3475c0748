"""Families whose layers hold many feed-forwards, the experts, of which a token takes a few."""

from __future__ import annotations

from bitwright import formats
from bitwright.hardware.draft import Draft


def routed(d: Draft, count: str, length: str, shared: int = 0) -> tuple[int, int]:
    """The keys of a mixture; the number of experts and the length of one. count, length: what config.json calls them.
    shared: length of the expert that all tokens go through."""
    experts, size = d.facts.integer(count, low=1), d.facts.integer(length, low=1)
    d.key(expert_count=experts, expert_used_count=d.facts.integer("num_experts_per_tok", low=1))
    d.key(expert_feed_forward_length=size)
    if shared:
        d.key(expert_shared_feed_forward_length=shared)
    return experts, size


def leading(d: Draft, experts: int, size: int, shared: int) -> None:
    """The feed-forward of the layer at hand: the first ones have one, the others experts, one of them shared by all."""
    assert d.at is not None
    if d.at < d.facts.integer("first_k_dense_replace", 0):
        return d.feed_forward(d.facts.integer("intermediate_size", low=1))
    d.experts(experts, size)
    d.vector("exp_probs_b.bias", experts)
    if shared:
        d.feed_forward(shared * size, "_shexp")
    return None


def leading_keys(d: Draft, shared: int) -> None:
    d.key(leading_dense_block_count=d.facts.integer("first_k_dense_replace", 0), expert_shared_count=shared)
    d.key(expert_gating_func=2)


def qwen3_moe(d: Draft) -> None:
    d.frame()
    experts, size = routed(d, "num_experts", "moe_intermediate_size")
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention(qk_norm=True)
        d.norm("ffn_norm", d.width)
        d.experts(experts, size)


def gpt_oss(d: Draft) -> None:
    """Biases everywhere, a sink a head, and experts in MXFP4 as they were published, where config.json says so."""
    d.frame()
    experts, size = routed(d, "num_local_experts", "intermediate_size")
    d.key(attention__sliding_window=d.facts.integer("sliding_window", 128))
    packed = d.facts.inner("quantization_config").text("quant_method") == "mxfp4"
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention(bias=True)
        d.vector("attn_output.bias", d.width)
        d.vector("attn_sinks.weight", d.heads)
        d.norm("post_attention_norm", d.width)
        d.experts(experts, size, formats.get("mxfp4") if packed else None)
        d.vector("ffn_gate_inp.bias", experts)
        for name, rows in (("gate", size), ("up", size), ("down", d.width)):
            d.vector(f"ffn_{name}_exps.bias", experts, rows)


def glm4_moe(d: Draft) -> None:
    d.frame()
    experts, size = routed(d, "n_routed_experts", "moe_intermediate_size")
    shared = d.facts.integer("n_shared_experts", 1)
    leading_keys(d, shared)
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention(bias=d.facts.flag("attention_bias", False), qk_norm=d.facts.flag("use_qk_norm", False))
        d.norm("post_attention_norm", d.width)
        leading(d, experts, size, shared)


def minimax_m2(d: Draft) -> None:
    """Norms of q and k over all heads at once."""
    d.frame()
    experts, size = routed(d, "num_local_experts", "intermediate_size")
    d.key(expert_gating_func=2, rope__dimension_count=d.facts.integer("rotary_dim", d.head_dim))
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention()
        d.norm("attn_q_norm", d.heads * d.head_dim)
        d.norm("attn_k_norm", d.kv_heads * d.head_dim)
        d.norm("ffn_norm", d.width)
        d.experts(experts, size)
        d.vector("exp_probs_b.bias", experts)


def latent_keys(d: Draft) -> None:
    """Latent attention, which llama.cpp runs as one head whose keys are the latent vector and its rotary part."""
    facts = d.facts
    rank, rope = facts.integer("kv_lora_rank", low=1), facts.integer("qk_rope_head_dim", low=1)
    d.key(attention__head_count_kv=1, attention__kv_lora_rank=rank, rope__dimension_count=rope)
    d.key(attention__key_length=rank + rope, attention__value_length=rank)
    d.key(attention__key_length_mla=facts.integer("qk_nope_head_dim", low=1) + rope)
    d.key(attention__value_length_mla=facts.integer("v_head_dim", low=1))
    if facts.integer("q_lora_rank", 0):
        d.key(attention__q_lora_rank=facts.integer("q_lora_rank"))


def latent_attention(d: Draft) -> None:
    facts, heads = d.facts, d.heads
    rank, rope, value = (facts.integer(key, low=1) for key in ("kv_lora_rank", "qk_rope_head_dim", "v_head_dim"))
    nope = facts.integer("qk_nope_head_dim", low=1)
    if query := facts.integer("q_lora_rank", 0):
        d.norm("attn_q_a_norm", query)
        d.matrix("attn_q_a", query, d.width)
        d.matrix("attn_q_b", heads * (nope + rope), query)
    else:
        d.matrix("attn_q", heads * (nope + rope), d.width)
    d.norm("attn_kv_a_norm", rank)
    d.matrix("attn_kv_a_mqa", rank + rope, d.width)
    d.matrix("attn_k_b", heads, rank, nope)
    d.matrix("attn_v_b", heads, value, rank)
    d.matrix("attn_output", d.width, heads * value)


def deepseek2(d: Draft) -> None:
    """DeepSeek V2 and V3, and others of their making."""
    d.frame()
    latent_keys(d)
    experts, size = routed(d, "n_routed_experts", "moe_intermediate_size")
    shared = d.facts.integer("n_shared_experts", 0)
    leading_keys(d, shared)
    for _ in d.blocks():
        d.norm("attn_norm", d.width)
        latent_attention(d)
        d.norm("ffn_norm", d.width)
        leading(d, experts, size, shared)
