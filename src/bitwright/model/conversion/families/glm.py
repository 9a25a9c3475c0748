"""GLM 4: Hugging Face's tensors as they are, with two more norms, and gate and up in one matrix. Its tokenizers name
few of the tokens that begin and end a text.
"""

from __future__ import annotations

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Family, expect, no_windows


def check(b: Blueprint) -> None:
    """UnsupportedError for windows, or for rotations by the place in an image."""
    no_windows(b)
    expect(b.rope_values(), "mrope_section", ())


GLM4 = Family(
    layer=LAYER
    | {
        "post_attention_norm": "post_self_attn_layernorm",
        "post_ffw_norm": "post_mlp_layernorm",
        "ffn_up": "mlp.gate_up_proj",
    },
    expected={key: values for key, values in EXPECTED.items() if key != "partial_rotary_factor"},
    check=check,
    roles={"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unknown": "<|endoftext|>", "eot": "<|user|>"},
)
