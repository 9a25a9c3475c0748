"""Families whose layers differ: most keep a state of fixed size, a few attend to every token."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.architectures.families.dense import multipliers
from bitwright.model.architectures.families.mixture import (
    gated,
    latent_attention,
    latent_keys,
    leading,
    leading_keys,
    routed,
)

UNLIMITED = 1 << 20  # the context of models that know no positions (llama.cpp's conversion/granite.py)


def kinds(b: Blueprint, *full: str) -> list[bool]:
    """For each layer, whether it attends: `full` in config.json's list; without a list, one layer in every few does."""
    if (named := b.values.names("layer_types", b.layers)) is not None:
        return [name in full for name in named]
    every = b.values.integer("full_attention_interval", 4, low=1)
    return [index % every == every - 1 for index in range(b.layers)]


def delta_net(b: Blueprint, fused: bool) -> None:
    """A gated delta net; fused: beta and alpha are one matrix."""
    key_heads, key_dim, value_heads, value_dim = _delta_sizes(b)
    keys, values = key_heads * key_dim, value_heads * value_dim
    b.matrix("attn_qkv", 2 * keys + values, b.width)
    b.matrix("attn_gate", values, b.width)
    b.vector("ssm_conv1d.weight", 2 * keys + values, b.values.integer("linear_conv_kernel_dim", 4))
    b.vector("ssm_dt.bias", value_heads)
    b.vector("ssm_a", value_heads)
    if fused:
        b.matrix("ssm_ba", 2 * value_heads, b.width)
    else:
        b.matrix("ssm_beta", value_heads, b.width)
        b.matrix("ssm_alpha", value_heads, b.width)
    b.norm("ssm_norm", value_dim)
    b.matrix("ssm_out", b.width, values)


def _delta_sizes(b: Blueprint) -> tuple[int, int, int, int]:
    names = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim")
    key_heads, key_dim, value_heads, value_dim = (b.values.integer(name, low=1) for name in names)
    return key_heads, key_dim, value_heads, value_dim


def further(b: Blueprint) -> int:
    """How many layers predict further tokens."""
    return b.values.integer("mtp_num_hidden_layers", 0)


def qwen35(b: Blueprint, feed_forward: Callable[[], None] | None = None, fused: bool = False) -> None:
    """Qwen3.5 and 3.6. feed_forward: adds a layer's feed-forward, if it differs from the dense models'."""
    b.frame()
    key_heads, key_dim, value_heads, value_dim = _delta_sizes(b)
    predicting = further(b)
    b.key(ssm__conv_kernel=b.values.integer("linear_conv_kernel_dim", 4), ssm__state_size=key_dim)
    b.key(ssm__group_count=key_heads, ssm__time_step_rank=value_heads, ssm__inner_size=value_heads * value_dim)
    attends = kinds(b, "full_attention") + [True] * predicting
    b.key(attention__recurrent_layers=[not full for full in attends])
    b.key(full_attention_interval=b.values.integer("full_attention_interval", 4, low=1))
    b.key(rope__dimension_count=b.rotated)
    if not fused:
        b.key(rope__dimension_sections=_sections(b))
    if predicting:
        b.key(block_count=b.layers + predicting, nextn_predict_layers=predicting)
    for index in b.blocks(predicting):
        b.norm("attn_norm", b.width)
        if attends[index]:
            b.attention(qk_norm=True, gated=True)
        else:
            delta_net(b, fused)
        b.norm("post_attention_norm", b.width)
        if feed_forward:
            feed_forward()
        else:
            b.feed_forward(b.values.integer("intermediate_size", low=1))
        if index == b.layers:
            b.matrix("nextn.eh_proj", b.width, 2 * b.width)
            for norm in ("enorm", "hnorm", "shared_head_norm"):
                b.norm(f"nextn.{norm}", b.width)


def _sections(b: Blueprint) -> list[int]:
    """Pairs of a head that are rotated by the place in time, by height and by width."""
    rope = b.rope_values()
    found = rope.numbers("mrope_section", whole=True).tolist() if rope.has("mrope_section") else [11, 11, 10]
    return [*found, 0, 0, 0, 0][:4]


def qwen35_moe(b: Blueprint, fused: bool = False) -> None:
    """Experts, one of which has its own gate and takes every token."""
    shared = b.values.integer("shared_expert_intermediate_size", low=1)
    experts, size = routed(b, "num_experts", "moe_intermediate_size", shared)

    qwen35(b, lambda: gated(b, experts, size, shared), fused)


def qwen3_next(b: Blueprint) -> None:
    qwen35_moe(b, fused=True)


def lfm2(b: Blueprint) -> None:
    """Short convolutions between attentions; the mixtures start with dense layers."""
    values, mixture = b.values, b.architecture == "lfm2moe"
    b.frame(tied=values.flag("tie_embedding", True), last_norm="token_embd_norm")
    attends, kernel, length = _lfm2_attends(b), values.integer("conv_L_cache", 3, low=2), _lfm2_length(b)
    b.key(attention__head_count_kv=[b.kv_heads * full for full in attends], shortconv__l_cache=kernel)
    b.key(attention__layer_norm_rms_epsilon=values.number("norm_eps", 1e-5), feed_forward_length=length)
    dense = values.integer("num_dense_layers", 2) if mixture else b.layers
    if mixture:
        experts, size = routed(b, "num_experts", "moe_intermediate_size")
        b.key(leading_dense_block_count=dense, expert_gating_func=2)
    for index in b.blocks():
        b.norm("attn_norm", b.width)
        if attends[index]:
            b.attention(qk_norm=True)
        else:
            b.vector("shortconv.conv.weight", b.width, kernel)
            b.matrix("shortconv.in_proj", 3 * b.width, b.width)
            b.matrix("shortconv.out_proj", b.width, b.width)
        b.norm("ffn_norm", b.width)
        if index < dense:
            b.feed_forward(length)
        else:
            b.experts(experts, size)
            b.vector("exp_probs_b.bias", experts)


def _lfm2_attends(b: Blueprint) -> list[bool]:
    """For each layer, whether it attends, by its kind, or by the numbers of those that do; without either, all do."""
    if (named := b.values.names("layer_types", b.layers)) is not None:
        return [name != "conv" for name in named]
    numbers = b.values.numbers("full_attn_idxs", whole=True).tolist() if b.values.has("full_attn_idxs") else None
    return [numbers is None or index in numbers for index in range(b.layers)]


def _lfm2_length(b: Blueprint) -> int:
    """Of the dense feed-forwards. Models without experts use two thirds, rounded up, of the length in config.json."""
    if b.architecture == "lfm2moe":
        return b.values.integer("intermediate_size", low=1)
    length = b.values.integer("block_ff_dim", b.values.integer("intermediate_size", 0), low=1)
    if not b.values.flag("block_auto_adjust_ff_dim", True):
        return length
    length, multiple = 2 * length // 3, b.values.integer("block_multiple_of", 256)
    factor = b.values.optional("block_ffn_dim_multiplier")
    length = length if factor is None else int(factor * length)
    return -(-length // multiple) * multiple


def granite_hybrid(b: Blueprint) -> None:
    """Mamba 2 and attention, with experts or one feed-forward that the checkpoint calls shared. Most know no positions:
    their texts may be as long as anyone likes."""
    values = b.values
    if not values.has("layer_types"):
        raise values.error("layer_types", "a list of layers")
    attends = kinds(b, "attention", "full_attention")
    experts, shared = values.integer("num_local_experts", 0), values.integer("shared_intermediate_size", 0)
    heads, state, groups = (values.integer(f"mamba_{key}", low=1) for key in ("n_heads", "d_state", "n_groups"))
    inner, kernel = values.integer("mamba_expand", 2) * b.width, values.integer("mamba_d_conv", 4)
    convolved, rotates = inner + 2 * groups * state, values.text("position_embedding_type", "nope") == "rope"
    if all(attends):
        b.architecture = "granitemoe" if experts else "granite"
    b.frame()
    multipliers(b)
    b.key(ssm__conv_kernel=kernel, ssm__state_size=state, ssm__group_count=groups, ssm__inner_size=inner)
    b.key(ssm__time_step_rank=heads, attention__head_count_kv=[b.kv_heads * full for full in attends])
    b.key(rope__scaling__finetuned=rotates, expert_shared_feed_forward_length=shared)
    if not rotates:
        b.key(context_length=UNLIMITED)
    if experts:
        routed(b, "num_local_experts", "intermediate_size", shared)
    else:
        b.key(feed_forward_length=shared, expert_count=0, expert_used_count=0)
    bias = values.flag("attention_bias", False)
    for index in b.blocks():
        b.norm("attn_norm", b.width)
        if attends[index]:
            b.attention(bias=bias, output_bias=bias)
        else:
            b.matrix("ssm_in", inner + convolved + heads, b.width)
            b.vector("ssm_conv1d.weight", convolved, kernel)
            b.vector("ssm_conv1d.bias", convolved)
            b.vector("ssm_dt.bias", heads)
            b.vector("ssm_a", heads, 1)
            b.vector("ssm_d", heads, 1)
            b.vector("ssm_norm.weight", groups, inner // groups)
            b.matrix("ssm_out", b.width, inner)
        b.norm("ffn_norm", b.width)
        if experts:
            b.experts(experts, values.integer("intermediate_size", low=1))
        if shared:
            b.feed_forward(shared, "_shexp" if experts else "")


def kimi_linear(b: Blueprint) -> None:
    """Kimi delta attention, whose three inputs each have a convolution, and latent attention."""
    linear = b.values.inner("linear_attn_config")
    full = linear.get("full_attn_layers")
    if not isinstance(full, list):
        raise linear.error("full_attn_layers", "a list of layers, counted from 1")
    b.frame()
    latent_keys(b)
    experts, size = routed(b, "num_experts", "moe_intermediate_size")
    shared = b.values.integer("num_shared_experts", 1)
    leading_keys(b, shared)
    head, kernel = linear.integer("head_dim", low=1), linear.integer("short_conv_kernel_size", 4)
    b.key(ssm__conv_kernel=kernel, kda__head_dim=head)
    b.key(attention__head_count_kv=[int(index + 1 in full) for index in range(b.layers)])
    for index in b.blocks():
        b.norm("attn_norm", b.width)
        if index + 1 in full:
            latent_attention(b)
        else:
            _delta_attention(b, head, kernel)
        b.norm("ffn_norm", b.width)
        leading(b, experts, size, shared)


def _delta_attention(b: Blueprint, head: int, kernel: int) -> None:
    rows = b.heads * head
    for name in "qkv":
        b.matrix(f"attn_{name}", rows, b.width)
        b.vector(f"ssm_conv1d_{name}.weight", rows, 1, kernel)
    for name in "fg":
        b.matrix(f"ssm_{name}_a", head, b.width)
        b.matrix(f"ssm_{name}_b", rows, head)
    b.matrix("ssm_beta", b.heads, b.width)
    b.vector("ssm_a", b.heads, 1)
    b.vector("ssm_dt.bias", rows)
    b.norm("ssm_norm", head)
    b.matrix("attn_output", b.width, rows)
