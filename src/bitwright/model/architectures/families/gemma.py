"""Gemma's families with layers of two shapes, per-layer embeddings, and keys and values that later layers share."""

from __future__ import annotations

from bitwright.io.values import MAX_TOKENS
from bitwright.model.architectures.blueprint import Blueprint


def windows(b: Blueprint, every: int) -> list[bool]:
    """Add the keys of the windows; returns whether each layer has one. Without a list in config.json, one layer
    in `every` sees all tokens."""
    kinds = b.values.names("layer_types", b.layers)
    local = [index % every < every - 1 if kinds is None else kinds[index] == "sliding_attention"
             for index in range(b.layers)]  # fmt: skip
    b.key(attention__sliding_window=b.values.integer("sliding_window", low=1, high=MAX_TOKENS))
    b.key(attention__sliding_window_pattern=local)
    return local


def shared_layers(b: Blueprint) -> int:
    """How many layers, the last ones, use the keys and values of earlier ones."""
    shared = b.values.integer("num_kv_shared_layers", 0)
    b.key(attention__shared_kv_layers=shared)
    return shared


def per_layer(b: Blueprint, length: int) -> None:
    """An embedding of every token for each layer, and the tensors that mix it with the main embedding."""
    b.key(embedding_length_per_layer_input=length)
    if length:
        b.matrix("per_layer_token_embd", b.values.integer("vocab_size_per_layer_input", low=1), length * b.layers)
        b.matrix("per_layer_model_proj", length * b.layers, b.width)
        b.norm("per_layer_proj_norm", length)


def per_layer_gate(b: Blueprint, length: int) -> None:
    if length:
        b.matrix("inp_gate", length, b.width)
        b.matrix("proj", b.width, length)
        b.norm("post_norm", b.width)


def gemma4(b: Blueprint) -> None:
    """Layers that see all tokens have wider heads and fewer key-value heads; in the larger models their keys also serve
    as values. Feed-forwards may be twice as long from the first layer that shares keys. A newer config.json describes
    the layers that see all tokens under `per_layer_config`."""
    values = b.values
    b.frame(tied=True)
    local, shared, length = windows(b, 6), shared_layers(b), values.integer("hidden_size_per_layer_input", 0)
    newer = values.inner("per_layer_config").inner(str(local.index(False)) if False in local else "")
    full_dim = newer.integer("head_dim", values.integer("global_head_dim", b.head_dim))
    keys_are_values = values.flag("attention_k_eq_v", False)
    fewer = values.integer("num_global_key_value_heads", b.kv_heads) if keys_are_values else b.kv_heads
    full_heads = newer.integer("num_key_value_heads", fewer)
    b.key(attention__key_length=full_dim, attention__value_length=full_dim)
    b.key(attention__key_length_swa=b.head_dim, attention__value_length_swa=b.head_dim)
    b.key(rope__dimension_count=full_dim, rope__dimension_count_swa=b.head_dim)
    if full_heads != b.kv_heads:
        b.key(attention__head_count_kv=[b.kv_heads if window else full_heads for window in local])
    b.key(rope__freq_base_swa=b.rope_values("sliding_attention").number("rope_theta", low=2))
    b.key(final_logit_softcapping=values.optional("final_logit_softcapping") or 0.0)  # without, llama.cpp caps at 30
    double = values.flag("use_double_wide_mlp", False)
    usual = values.integer("intermediate_size", low=1)
    lengths = [usual * (1 + (double and index >= b.layers - shared)) for index in range(b.layers)]
    if double:
        b.key(feed_forward_length=lengths)
    per_layer(b, length)
    b.vector("rope_freqs.weight", full_dim // 2)
    experts = values.integer("num_experts", 0) if values.flag("enable_moe_block", False) else 0
    if experts:
        size = values.integer("moe_intermediate_size", low=1)
        b.key(expert_count=experts, expert_used_count=values.integer("top_k_experts", low=1))
        b.key(expert_feed_forward_length=size)
    for index in b.blocks():
        own, window = index < b.layers - shared, local[index]
        head_dim = b.head_dim if window else full_dim
        rows = (b.kv_heads if window else full_heads) * head_dim
        b.norm("attn_norm", b.width)
        b.matrix("attn_q", b.heads * head_dim, b.width)
        b.norm("attn_q_norm", head_dim)
        if own:
            b.matrix("attn_k", rows, b.width)
            b.norm("attn_k_norm", head_dim)
            if window or not keys_are_values:
                b.matrix("attn_v", rows, b.width)
        b.matrix("attn_output", b.width, b.heads * head_dim)
        b.norm("post_attention_norm", b.width)
        b.norm("ffn_norm", b.width)
        b.feed_forward(lengths[index])
        b.norm("post_ffw_norm", b.width)
        if experts:
            _gemma4_experts(b, experts, size)
        per_layer_gate(b, length)
        b.vector("layer_output_scale.weight", 1)


def _gemma4_experts(b: Blueprint, experts: int, size: int) -> None:
    """Run next to the dense feed-forward, with their own norms and scales; gate and up are one stack."""
    b.vector("ffn_gate_inp.weight", experts, b.width)
    b.vector("ffn_gate_inp.scale", b.width)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        b.norm(name, b.width)
    b.matrix("ffn_gate_up_exps", experts, 2 * size, b.width)
    b.matrix("ffn_down_exps", experts, b.width, size)
    b.vector("ffn_down_exps.scale", experts)


def gemma3n(b: Blueprint) -> None:
    """Four streams that are predicted and corrected (AltUp), a low-rank way around (Laurel), per-layer embeddings."""
    values = b.values
    b.frame(tied=True)
    windows(b, 5)
    shared_layers(b)
    streams, rank = values.integer("altup_num_inputs", 4), values.integer("laurel_rank", 64)
    length = values.integer("hidden_size_per_layer_input", low=1)
    b.key(altup__num_inputs=streams, altup__active_idx=values.integer("altup_active_idx", 0))
    lengths = values.per_layer("intermediate_size", b.layers, low=1)
    b.key(feed_forward_length=lengths)
    per_layer(b, length)
    b.matrix("altup_proj", streams - 1, b.width, b.width)
    b.matrix("altup_unembd_proj", streams - 1, b.width, b.width)
    for index in b.blocks():
        b.norm("attn_norm", b.width)
        b.attention(qk_norm=True)
        b.norm("post_attention_norm", b.width)
        b.norm("ffn_norm", b.width)
        b.feed_forward(lengths[index])
        b.norm("post_ffw_norm", b.width)
        per_layer_gate(b, length)
        b.vector("altup_correct_coef.weight", streams, streams)
        b.vector("altup_predict_coef.weight", streams * streams, streams)
        b.vector("altup_correct_scale.weight", b.width)
        b.matrix("altup_router", streams, b.width)
        b.norm("altup_router_norm", b.width)
        b.matrix("laurel_l", rank, b.width)
        b.matrix("laurel_r", b.width, rank)
        b.norm("laurel_post_norm", b.width)
