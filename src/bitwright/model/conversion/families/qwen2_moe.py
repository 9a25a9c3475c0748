"""Qwen 1.5 and 2 with experts: Hugging Face has a tensor for each expert, GGUF stacks them, and a matrix of one row for
the gate of the expert that takes every token.
"""

from __future__ import annotations

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Change, Family
from bitwright.model.conversion.families.qwen3_moe import EXPERTS

SHARED = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
# llama.cpp neither normalizes weights nor takes the embedding for the output.
ROUTING = {"decoder_sparse_step": (1,), "mlp_only_layers": ([],), "norm_topk_prob": (False,)}


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The gate is a matrix of one row."""
    return (1, *shape) if name == "ffn_gate_inp_shexp" else shape


def change(b: Blueprint, name: str) -> Change | None:
    """That row."""
    return (lambda values: values[0]) if name == "ffn_gate_inp_shexp" else None


FAMILY = Family(
    layer=LAYER | EXPERTS | SHARED,
    stored=stored,
    change=change,
    expected=EXPECTED | ROUTING | {"qkv_bias": (True,), "tie_word_embeddings": (False,)},
)
