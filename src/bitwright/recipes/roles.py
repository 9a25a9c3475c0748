"""A tensor's role, by its name, and whether it is ever quantized.

The names are GGUF's. The rules are llama.cpp's (tensor_allows_quantization and tensor_get_category of
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp).
"""

from __future__ import annotations

from functools import lru_cache

# The first of these parts that a name contains gives the role; the tensors of WHOLE are matched by their whole name.
ROLES = {
    "attn_qkv.weight": "attn_qkv",
    "attn_kv_b.weight": "attn_kv_b",
    "attn_v.weight": "attn_v",
    "attn_k.weight": "attn_k",
    "attn_q.weight": "attn_q",
    "attn_output.weight": "attn_output",
    "ffn_up": "ffn_up",
    "ffn_gate": "ffn_gate",
    "ffn_down": "ffn_down",
}
WHOLE = {"output.weight": "output", "token_embd.weight": "token_embd", "per_layer_token_embd.weight": "token_embd"}

# Matrices that keep their type: they are small, or are not the weights of a matrix product.
KEPT_NAMES = {"position_embd.weight", "token_types.weight"}
KEPT_PARTS = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
    "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight",
    *(f"time_mix_{part}.weight" for part in ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2",
                                             "decay_w1", "decay_w2", "lerp_fused")),
    "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd",
    ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
)  # fmt: skip
KEPT_BY_ARCHITECTURE = {
    "glm5-next": (
        "hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate",
        "indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight",
        "ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight",
    ),
}  # fmt: skip


@lru_cache(1 << 14)  # names are the same in many models
def role(name: str) -> str:
    """The tensor's role, or "other"."""
    return WHOLE.get(name) or next((role for part, role in ROLES.items() if part in name), "other")


def is_quantized(name: str, shape: tuple[int, ...], architecture: str) -> bool:
    """Whether recipes apply to the tensor at all. shape is in NumPy order; leading ones do not count."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return len(shape) > 1 and not _kept(name, architecture)


@lru_cache(1 << 14)
def _kept(name: str, architecture: str) -> bool:
    kept = KEPT_PARTS + KEPT_BY_ARCHITECTURE.get(architecture, ())
    return not name.endswith("weight") or name in KEPT_NAMES or any(part in name for part in kept)
