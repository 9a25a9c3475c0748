"""DeepSeek V2 and V3, and GLM 4.7 Flash: one matrix makes the keys and the values of all heads from a latent vector; in
GGUF it is two, with a matrix for each head, and those of keys transposed.
"""

from __future__ import annotations

from dataclasses import replace

from bitwright.errors import UnsupportedError
from bitwright.model.architectures.blueprint import Blueprint, rope_type
from bitwright.model.conversion.families import glm
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Change, Family, expect, no_windows

LATENT = {
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_k_b": "self_attn.kv_b_proj",
    "attn_v_b": "self_attn.kv_b_proj",
}
ALL = EXPECTED | {"attention_bias": (False,), "mlp_bias": (False,), "moe_layer_freq": (1,), "rope_interleave": (True,)}
ONE_GROUP = {"n_group": (1,), "topk_group": (1,)}  # V2 chooses groups by their largest score, llama.cpp by two
V2_ROUTING = {"scoring_func": ("softmax",), "topk_method": ("greedy",), "norm_topk_prob": (False,)}
V3_ROUTING = {"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",), "norm_topk_prob": (True,)}


def _widths(b: Blueprint) -> tuple[int, int]:
    """Of a head's keys without their rotated part, and of its values."""
    return b.values.integer("qk_nope_head_dim"), b.values.integer("v_head_dim")


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Keys and values are one matrix."""
    if name not in ("attn_k_b", "attn_v_b"):
        return shape
    return b.heads * sum(_widths(b)), b.values.integer("kv_lora_rank")


def change(b: Blueprint, name: str) -> Change | None:
    """The part of every head that is meant."""
    keys, _ = _widths(b)
    own: dict[str, Change] = {
        "attn_k_b": lambda values: values.reshape(b.heads, -1, values.shape[1])[:, :keys].swapaxes(1, 2),
        "attn_v_b": lambda values: values.reshape(b.heads, -1, values.shape[1])[:, keys:],
    }
    return own.get(name)


def check(b: Blueprint) -> None:
    """UnsupportedError for a window, heads that share keys, or rotated parts that YaRN multiplies."""
    no_windows(b)
    expect(b.values, "num_key_value_heads", (b.heads,))
    scaling = b.rope_values()
    if rope_type(scaling) == "yarn":
        expect(scaling, "attention_factor", ())
        if not (both := scaling.optional("mscale_all_dim")) or scaling.optional("mscale") != both:
            raise UnsupportedError(f"{b.values.place}: YaRN without", "mscale and mscale_all_dim", ["equal ones"])


def check_glm(b: Blueprint) -> None:
    """The same, and for experts in other layers than all after the first."""
    check(b)
    expect(b.values, "first_k_dense_replace", (1,))
    expect(b.values, "mlp_layer_types", (["dense"] + ["sparse"] * (b.layers - 1),))


V3 = Family(
    layer=LAYER | glm.MIXTURE | LATENT,
    predicting=glm.GLM4_MOE.predicting,
    optional=glm.COPIES,
    stored=stored,
    change=change,
    expected=ALL | V3_ROUTING,
    scales=("mscale", "mscale_all_dim"),
    check=check,
)
V2 = replace(V3, expected=ALL | V2_ROUTING | ONE_GROUP)
GLM4_MOE_LITE = replace(V3, check=check_glm, roles=glm.GLM4_MOE.roles)
