"""GLM 4: Hugging Face's tensors as they are, with two more norms, and gate and up in one matrix. GLM 4.5 and 4.6: a
tensor for each expert, which are stacked. Their tokenizers name few of the tokens that begin and end a text.
"""

from __future__ import annotations

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import LAYER, ROTATED_IN_PART, Family, expect, no_windows
from bitwright.model.conversion.families.qwen3_moe import EXPERTS

MIXTURE = EXPERTS | {
    "exp_probs_b.bias": "mlp.gate.e_score_correction_bias",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
    "nextn.eh_proj": "eh_proj",
    "nextn.enorm": "enorm",
    "nextn.hnorm": "hnorm",
    "nextn.embed_tokens": "embed_tokens",
    "nextn.shared_head_head": "shared_head.head",
    "nextn.shared_head_norm": "shared_head.norm",
}
COPIES = ("nextn.embed_tokens.weight", "nextn.shared_head_head.weight")  # which newer checkpoints leave out


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
    expected=ROTATED_IN_PART,
    check=check,
    roles={"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unknown": "<|endoftext|>", "eot": "<|user|>"},
)
GLM4_MOE = Family(
    layer=LAYER | MIXTURE | {"post_attention_norm": "post_attention_layernorm"},
    predicting=("num_nextn_predict_layers", ".eh_proj.weight"),
    optional=COPIES,
    expected=ROTATED_IN_PART | {"norm_topk_prob": (True,), "n_group": (1,), "topk_group": (1,)},
    check=check,
    roles={"bos": "[gMASK]", "eot": "<|user|>", "unknown": "<|endoftext|>", "eom": "<|observation|>"},
)
