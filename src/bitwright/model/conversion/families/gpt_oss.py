"""gpt-oss: a sink for each head, biases everywhere, and the experts of a layer together, as floats or in MXFP4."""

from __future__ import annotations

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Family, expect

EXPERTS = {f"ffn_{name}_exps": f"mlp.experts.{name}_proj" for name in ("gate", "up", "down")}


def check(b: Blueprint) -> None:
    """UnsupportedError if other layers than the even ones have the window."""
    usual = ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(b.layers)]
    expect(b.values, "layer_types", (usual,))


FAMILY = Family(
    layer=LAYER
    | EXPERTS
    | {
        "attn_sinks.weight": "self_attn.sinks",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_gate_inp": "mlp.router",
    },
    expected=EXPECTED | {"attention_bias": (True,), "swiglu_alpha": (1.702,), "swiglu_limit": (7, 7.0)},
    ropes=("yarn",),
    whole_pairs=False,
    check=check,
    apart=True,
)
