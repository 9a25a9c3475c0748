"""Gemma's families with layers of two shapes: per-layer embeddings, keys and values that later layers share."""

from __future__ import annotations

from bitwright.hardware.draft import Draft


def windows(d: Draft, every: int) -> list[bool]:
    """Of each layer, whether it sees a window only; also as keys. Without a list one layer of `every` sees all."""
    kinds = d.facts.names("layer_types", d.layers)
    local = [index % every < every - 1 if kinds is None else kinds[index] == "sliding_attention"
             for index in range(d.layers)]  # fmt: skip
    d.key(attention__sliding_window=d.facts.integer("sliding_window", low=1), attention__sliding_window_pattern=local)
    return local


def shared_layers(d: Draft) -> int:
    """How many layers, the last ones, take keys and values from earlier ones."""
    shared = d.facts.integer("num_kv_shared_layers", 0)
    d.key(attention__shared_kv_layers=shared)
    return shared


def per_layer(d: Draft, length: int) -> None:
    """An embedding of every token for each layer, and what mixes it with the first one's."""
    d.key(embedding_length_per_layer_input=length)
    if length:
        d.matrix("per_layer_token_embd", d.facts.integer("vocab_size_per_layer_input", low=1), length * d.layers)
        d.matrix("per_layer_model_proj", length * d.layers, d.width)
        d.norm("per_layer_proj_norm", length)


def per_layer_gate(d: Draft, length: int) -> None:
    if length:
        d.matrix("inp_gate", length, d.width)
        d.matrix("proj", d.width, length)
        d.norm("post_norm", d.width)


def gemma4(d: Draft) -> None:
    """Layers that see everything have wider heads, fewer of keys, and in the larger models no values of their own: they
    are the keys. Feed-forwards after the first layer that shares keys may be twice as long. Newer config.json list what
    such layers have under `per_layer_config`."""
    facts = d.facts
    d.frame(tied=True)
    local, shared, length = windows(d, 6), shared_layers(d), facts.integer("hidden_size_per_layer_input", 0)
    newer = facts.inner("per_layer_config").inner(str(local.index(False)) if False in local else "")
    full_dim = newer.integer("head_dim", facts.integer("global_head_dim", d.head_dim))
    full_heads = newer.integer("num_key_value_heads", facts.integer("num_global_key_value_heads", d.kv_heads))
    keys_are_values = facts.flag("attention_k_eq_v", False)
    d.key(attention__key_length=full_dim, attention__value_length=full_dim)
    d.key(attention__key_length_swa=d.head_dim, attention__value_length_swa=d.head_dim)
    d.key(rope__dimension_count=full_dim, rope__dimension_count_swa=d.head_dim)
    d.key(attention__head_count_kv=[d.kv_heads if window else full_heads for window in local])
    double = facts.flag("use_double_wide_mlp", False)
    usual = facts.integer("intermediate_size", low=1)
    lengths = [usual * (1 + (double and index >= d.layers - shared)) for index in range(d.layers)]
    d.key(feed_forward_length=lengths)
    per_layer(d, length)
    d.vector("rope_freqs.weight", full_dim // 2)
    experts = facts.integer("num_experts", 0) if facts.flag("enable_moe_block", False) else 0
    if experts:
        size = facts.integer("moe_intermediate_size", low=1)
        d.key(expert_count=experts, expert_used_count=facts.integer("top_k_experts", low=1))
        d.key(expert_feed_forward_length=size)
    for index in d.blocks():
        own, window = index < d.layers - shared, local[index]
        head_dim = d.head_dim if window else full_dim
        rows = (d.kv_heads if window else full_heads) * head_dim
        d.norm("attn_norm", d.width)
        d.matrix("attn_q", d.heads * head_dim, d.width)
        d.norm("attn_q_norm", head_dim)
        if own:
            d.matrix("attn_k", rows, d.width)
            d.norm("attn_k_norm", head_dim)
            if window or not keys_are_values:
                d.matrix("attn_v", rows, d.width)
        d.matrix("attn_output", d.width, d.heads * head_dim)
        d.norm("post_attention_norm", d.width)
        d.norm("ffn_norm", d.width)
        d.feed_forward(lengths[index])
        d.norm("post_ffw_norm", d.width)
        if experts:
            _gemma4_experts(d, experts, size)
        per_layer_gate(d, length)
        d.vector("layer_output_scale.weight", 1)


def _gemma4_experts(d: Draft, experts: int, size: int) -> None:
    """Beside the dense feed-forward, with norms and scales of their own; gate and up are one stack."""
    d.vector("ffn_gate_inp.weight", experts, d.width)
    d.vector("ffn_gate_inp.scale", d.width)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        d.norm(name, d.width)
    d.matrix("ffn_gate_up_exps", experts, 2 * size, d.width)
    d.matrix("ffn_down_exps", experts, d.width, size)
    d.vector("ffn_down_exps.scale", experts)


def gemma3n(d: Draft) -> None:
    """Four streams that are predicted and corrected (AltUp), a low-rank way around (Laurel), per-layer embeddings."""
    facts = d.facts
    d.frame(tied=True)
    windows(d, 5)
    shared_layers(d)
    streams, rank = facts.integer("altup_num_inputs", 4), facts.integer("laurel_rank", 64)
    length = facts.integer("hidden_size_per_layer_input", low=1)
    d.key(altup__num_inputs=streams, altup__active_idx=facts.integer("altup_active_idx", 0))
    ff = facts.values.get("intermediate_size")
    lengths = ff if isinstance(ff, list) else [facts.integer("intermediate_size", low=1)] * d.layers
    if len(lengths) != d.layers:
        raise facts.error(f"intermediate_size to be a number or {d.layers} of them", ff)
    d.key(feed_forward_length=lengths)
    per_layer(d, length)
    d.matrix("altup_proj", streams - 1, d.width, d.width)
    d.matrix("altup_unembd_proj", streams - 1, d.width, d.width)
    for index in d.blocks():
        d.norm("attn_norm", d.width)
        d.attention(qk_norm=True)
        d.norm("post_attention_norm", d.width)
        d.norm("ffn_norm", d.width)
        d.feed_forward(lengths[index])
        d.norm("post_ffw_norm", d.width)
        per_layer_gate(d, length)
        d.vector("altup_correct_coef.weight", streams, streams)
        d.vector("altup_predict_coef.weight", streams * streams, streams)
        d.vector("altup_correct_scale.weight", d.width)
        d.matrix("altup_router", streams, d.width)
        d.norm("altup_router_norm", d.width)
        d.matrix("laurel_l", rank, d.width)
        d.matrix("laurel_r", d.width, rank)
        d.norm("laurel_post_norm", d.width)
