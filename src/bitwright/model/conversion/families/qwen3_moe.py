"""Qwen 3 with experts: Hugging Face has a tensor for each expert, GGUF stacks them."""

from __future__ import annotations

from bitwright.errors import UnsupportedError
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import EXPECTED, LAYER, Family, no_windows

EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.*.gate_proj",
    "ffn_up_exps": "mlp.experts.*.up_proj",
    "ffn_down_exps": "mlp.experts.*.down_proj",
}


def check(b: Blueprint) -> None:
    """UnsupportedError if some layers see part of the text only, or the weights of experts do not sum to 1: GGUF files
    of this family cannot say so, and llama.cpp makes them."""
    no_windows(b)
    if not b.values.flag("norm_topk_prob", False):
        raise UnsupportedError(f"{b.values.place}: norm_topk_prob of", "false", ["true"])


FAMILY = Family(
    layer=LAYER | EXPERTS,
    expected=EXPECTED | {"decoder_sparse_step": (1,), "mlp_only_layers": ([],)},
    check=check,
)
