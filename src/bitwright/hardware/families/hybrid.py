"""Families whose layers differ: most carry a state of fixed size, a few attend to every token."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.hardware.draft import Draft
from bitwright.hardware.families.mixture import latent_attention, latent_keys, leading, leading_keys, routed


def kinds(d: Draft, full: str) -> list[bool]:
    """Of each layer, whether it attends: by config.json's list, whose word for it is `full`, or one of every few."""
    if (named := d.facts.names("layer_types", d.layers)) is not None:
        return [name == full for name in named]
    every = d.facts.integer("full_attention_interval", 4, low=1)
    return [index % every == every - 1 for index in range(d.layers)]


def delta_net(d: Draft, fused: bool) -> None:
    """A gated delta net; fused: beta and alpha are one matrix."""
    key_heads, key_dim, value_heads, value_dim = _delta_sizes(d)
    keys, values = key_heads * key_dim, value_heads * value_dim
    d.matrix("attn_qkv", 2 * keys + values, d.width)
    d.matrix("attn_gate", values, d.width)
    d.vector("ssm_conv1d.weight", 2 * keys + values, d.facts.integer("linear_conv_kernel_dim", 4))
    d.vector("ssm_dt.bias", value_heads)
    d.vector("ssm_a", value_heads)
    if fused:
        d.matrix("ssm_ba", 2 * value_heads, d.width)
    else:
        d.matrix("ssm_beta", value_heads, d.width)
        d.matrix("ssm_alpha", value_heads, d.width)
    d.norm("ssm_norm", value_dim)
    d.matrix("ssm_out", d.width, values)


def _delta_sizes(d: Draft) -> tuple[int, int, int, int]:
    names = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim")
    key_heads, key_dim, value_heads, value_dim = (d.facts.integer(name, low=1) for name in names)
    return key_heads, key_dim, value_heads, value_dim


def qwen35(d: Draft, feed_forward: Callable[[], None] | None = None, fused: bool = False) -> None:
    """Qwen3.5 and 3.6; feed_forward: adds a layer's, where it is not the one of the dense models."""
    d.frame()
    key_heads, key_dim, value_heads, value_dim = _delta_sizes(d)
    d.key(ssm__conv_kernel=d.facts.integer("linear_conv_kernel_dim", 4), ssm__state_size=key_dim)
    d.key(ssm__group_count=key_heads, ssm__time_step_rank=value_heads, ssm__inner_size=value_heads * value_dim)
    attends = kinds(d, "full_attention")
    if True in attends:
        d.key(full_attention_interval=attends.index(True) + 1)
    rotated = d.head_dim // 4  # partial_rotary_factor 0.25
    d.key(rope__dimension_count=rotated, rope__dimension_sections=[(rotated // 2 + 2) // 3] * 3 + [0])
    for index in d.blocks():
        d.norm("attn_norm", d.width)
        if attends[index]:
            d.attention(qk_norm=True, gated=True)
        else:
            delta_net(d, fused)
        d.norm("post_attention_norm", d.width)
        if feed_forward:
            feed_forward()
        else:
            d.feed_forward(d.facts.integer("intermediate_size", low=1))


def qwen35_moe(d: Draft, fused: bool = False) -> None:
    """Experts, and one that all tokens go through by a gate of its own."""
    shared = d.facts.integer("shared_expert_intermediate_size", low=1)
    experts, size = routed(d, "num_experts", "moe_intermediate_size", shared)

    def mixture() -> None:
        d.experts(experts, size)
        d.vector("ffn_gate_inp_shexp.weight", d.width)
        d.feed_forward(shared, "_shexp")

    qwen35(d, mixture, fused)


def qwen3_next(d: Draft) -> None:
    qwen35_moe(d, fused=True)


def lfm2(d: Draft) -> None:
    """Short convolutions between attentions; the mixtures start with dense layers."""
    facts, mixture = d.facts, d.facts.has("num_experts")
    d.frame(tied=True, last_norm="token_embd_norm")
    attends = kinds(d, "full_attention")
    d.key(attention__head_count_kv=[d.kv_heads * full for full in attends])
    kernel = facts.integer("conv_L_cache", low=2)
    d.key(shortconv__l_cache=kernel, feed_forward_length=_lfm2_length(d))
    if mixture:
        experts, size = routed(d, "num_experts", "moe_intermediate_size")
        d.key(leading_dense_block_count=facts.integer("num_dense_layers", 0), expert_gating_func=2)
    for index in d.blocks():
        d.norm("attn_norm", d.width)
        if attends[index]:
            d.attention(qk_norm=True)
        else:
            d.vector("shortconv.conv.weight", d.width, kernel)
            d.matrix("shortconv.in_proj", 3 * d.width, d.width)
            d.matrix("shortconv.out_proj", d.width, d.width)
        d.norm("ffn_norm", d.width)
        if mixture and index >= facts.integer("num_dense_layers", 0):
            d.experts(experts, size)
            d.vector("exp_probs_b.bias", experts)
        else:
            d.feed_forward(_lfm2_length(d))


def _lfm2_length(d: Draft) -> int:
    """The dense models' config.json holds a length before two thirds of it are taken and rounded up."""
    length = d.facts.integer("block_ff_dim", d.facts.integer("intermediate_size", 0), low=1)
    if not d.facts.flag("block_auto_adjust_ff_dim", False):
        return length
    length, multiple = 2 * length // 3, d.facts.integer("block_multiple_of", 256)
    factor = d.facts.values.get("block_ffn_dim_multiplier")
    length = length if factor is None else int(factor * length)
    return -(-length // multiple) * multiple


def granite_hybrid(d: Draft) -> None:
    """Mamba 2 and attention, with experts or one feed-forward that the checkpoint calls shared."""
    facts = d.facts
    attends = kinds(d, "attention")
    experts, shared = facts.integer("num_local_experts", 0), facts.integer("shared_intermediate_size", 0)
    heads, state, groups = (facts.integer(f"mamba_{key}", low=1) for key in ("n_heads", "d_state", "n_groups"))
    inner, kernel = facts.integer("mamba_expand", 2) * d.width, facts.integer("mamba_d_conv", 4)
    convolved = inner + 2 * groups * state
    if all(attends):
        d.architecture = "granitemoe" if experts else "granite"
    d.frame(tied=True)
    d.key(ssm__conv_kernel=kernel, ssm__state_size=state, ssm__group_count=groups, ssm__inner_size=inner)
    d.key(ssm__time_step_rank=heads, attention__head_count_kv=[d.kv_heads * full for full in attends])
    if experts:
        routed(d, "num_local_experts", "intermediate_size", shared)
    else:
        d.key(feed_forward_length=shared)
    for index in d.blocks():
        d.norm("attn_norm", d.width)
        if attends[index]:
            d.attention()
        else:
            d.matrix("ssm_in", inner + convolved + heads, d.width)
            d.vector("ssm_conv1d.weight", convolved, kernel)
            d.vector("ssm_conv1d.bias", convolved)
            d.vector("ssm_dt.bias", heads)
            d.vector("ssm_a", heads, 1)
            d.vector("ssm_d", heads, 1)
            d.vector("ssm_norm.weight", groups, inner // groups)
            d.matrix("ssm_out", d.width, inner)
        d.norm("ffn_norm", d.width)
        if experts:
            d.experts(experts, facts.integer("intermediate_size", low=1))
        if shared:
            d.feed_forward(shared, "_shexp" if experts else "")


def kimi_linear(d: Draft) -> None:
    """Kimi delta attention, whose three inputs each have a convolution, and latent attention."""
    linear = d.facts.inner("linear_attn_config")
    full = linear.values.get("full_attn_layers")
    if not isinstance(full, list):
        raise d.facts.error("linear_attn_config.full_attn_layers to be a list of layers, counted from 1", full)
    d.frame()
    latent_keys(d)
    experts, size = routed(d, "num_experts", "moe_intermediate_size")
    shared = d.facts.integer("num_shared_experts", 1)
    leading_keys(d, shared)
    head, kernel = linear.integer("head_dim", low=1), linear.integer("short_conv_kernel_size", 4)
    d.key(ssm__conv_kernel=kernel, kda__head_dim=head)
    d.key(attention__head_count_kv=[int(index + 1 in full) for index in range(d.layers)])
    for index in d.blocks():
        d.norm("attn_norm", d.width)
        if index + 1 in full:
            latent_attention(d)
        else:
            _delta_attention(d, head, kernel)
        d.norm("ffn_norm", d.width)
        leading(d, experts, size, shared)


def _delta_attention(d: Draft, head: int, kernel: int) -> None:
    rows = d.heads * head
    for name in "qkv":
        d.matrix(f"attn_{name}", rows, d.width)
        d.vector(f"ssm_conv1d_{name}.weight", rows, 1, kernel)
    for name in "fg":
        d.matrix(f"ssm_{name}_a", head, d.width)
        d.matrix(f"ssm_{name}_b", rows, head)
    d.matrix("ssm_beta", d.heads, d.width)
    d.vector("ssm_a", d.heads, 1)
    d.vector("ssm_dt.bias", rows)
    d.norm("ssm_norm", head)
    d.matrix("attn_output", d.width, rows)
