"""LFM2 of Liquid AI, whose norms and matrices have names of their own; and the same with experts, which are stacked."""

from __future__ import annotations

from dataclasses import replace

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Change, Family, expect, expect_layers

CONVOLVED = {
    "attn_norm": "operator_norm",
    "attn_output": "self_attn.out_proj",
    "attn_q_norm": "self_attn.q_layernorm",
    "attn_k_norm": "self_attn.k_layernorm",
    "shortconv.conv": "conv.conv",
    "shortconv.in_proj": "conv.in_proj",
    "shortconv.out_proj": "conv.out_proj",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "feed_forward.w1",
    "ffn_up": "feed_forward.w3",
    "ffn_down": "feed_forward.w2",
}
EXPERTS = {
    "ffn_gate_inp": "feed_forward.gate",
    "exp_probs_b.bias": "feed_forward.expert_bias",
    "ffn_gate_exps": "feed_forward.experts.*.w1",
    "ffn_up_exps": "feed_forward.experts.*.w3",
    "ffn_down_exps": "feed_forward.experts.*.w2",
}


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A convolution is (channels, 1, taps)."""
    return (shape[0], 1, shape[1]) if name == "conv" else shape


def change(b: Blueprint, name: str) -> Change | None:
    """The shape of convolutions."""
    return (lambda values: values[:, 0]) if name == "conv" else None


def check(b: Blueprint) -> None:
    """UnsupportedError for other kinds of layers, or if the two keys that tie the embedding to the output disagree."""
    expect_layers(b, ("conv", "full_attention"))
    expect(b.values, "tie_embedding", (all(tensor.name != "output.weight" for tensor in b.tensors),))


EXPECTED_VALUES: dict[str, tuple[object, ...]] = EXPECTED | {"conv_bias": (False,)}
FAMILY = Family(
    layer=LAYER | CONVOLVED,
    stored=stored,
    change=change,
    expected=EXPECTED_VALUES,
    check=check,
    pre="lfm2",
)
MIXTURE = replace(
    FAMILY,
    layer=LAYER | CONVOLVED | EXPERTS,
    expected={
        **EXPECTED_VALUES,
        "use_expert_bias": (True,),
        "norm_topk_prob": (True,),
        "routed_scaling_factor": (1, 1.0),
    },
)
