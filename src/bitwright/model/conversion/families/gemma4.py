"""Gemma 4: divisors stop most pairs of the layers that see everything. Vision and sound are left out."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import (
    LAYER,
    VISION,
    Family,
    expect,
    expect_plain_windows,
)

STOPPED = 1e30  # the divisor of a pair that is not rotated
EXPERTS = {
    "ffn_gate_inp": "router.proj",
    "ffn_gate_inp.scale": "router.scale",
    "ffn_gate_up_exps.weight": "experts.gate_up_proj",
    "ffn_down_exps.weight": "experts.down_proj",
    "ffn_down_exps.scale": "router.per_expert_scale",
    "pre_ffw_norm_2": "pre_feedforward_layernorm_2",
    "post_ffw_norm_1": "post_feedforward_layernorm_1",
    "post_ffw_norm_2": "post_feedforward_layernorm_2",
}
EACH = {
    "ffn_gate_up_exps.weight": "experts.*.(gate_proj|up_proj).weight",
    "ffn_down_exps.weight": "experts.*.down_proj.weight",
}
SHARED = re.compile(r"\.self_attn\.(k_proj|v_proj|k_norm)\.weight$")  # in layers that use another's


def divisors(b: Blueprint) -> dict[str, NDArray[np.float32]]:
    """1 for the pairs that are rotated in layers that see everything, the first ones."""
    pairs = next(tensor.shape[0] for tensor in b.tensors if tensor.name == "rope_freqs.weight")
    rotated = int(pairs * b.rope_values().number("partial_rotary_factor", 1.0, low=0, high=1))
    return {"rope_freqs.weight": np.repeat([1, STOPPED], [rotated, pairs - rotated]).astype(np.float32)}


def check(b: Blueprint) -> None:
    """UnsupportedError for other kinds of layers or rotations than the architecture's."""
    expect_plain_windows(b)
    expect(b.rope_values(), "rope_type", ("proportional",))
    for layers in ("full_attention", "sliding_attention"):
        expect(b.rope_values(layers), "factor", (1, 1.0))
    expect(b.rope_values("sliding_attention"), "partial_rotary_factor", (1, 1.0))


FAMILY = Family(
    layer=LAYER
    | EXPERTS
    | {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
        "inp_gate": "per_layer_input_gate",
        "proj": "per_layer_projection",
        "post_norm": "post_per_layer_input_norm",
        "layer_output_scale.weight": "layer_scalar",
    },
    made=divisors,
    expected={
        "is_causal": (True,),
        "attention_bias": (False,),
        "hidden_activation": ("gelu_pytorch_tanh",),
        "use_bidirectional_attention": ("vision",),  # text never looks ahead
    },
    ropes=("proportional",),
    check=check,
    aside=(*VISION, "model.audio_tower.", "model.embed_vision.", "model.embed_audio."),
    each=EACH,
    unread=SHARED,
    by_characters=True,
)
