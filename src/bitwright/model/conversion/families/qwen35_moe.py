"""Qwen 3.5 and 3.6 with experts, whose gate and up are one tensor; and Qwen3 Next, which has a tensor for each expert,
one for all inputs of a delta net, and the heads of values in groups.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UnsupportedError
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families import qwen2_moe, qwen35
from bitwright.model.conversion.families.family import LAYER, Change, Family
from bitwright.model.conversion.families.qwen2_moe import SHARED
from bitwright.model.conversion.families.qwen3_moe import EXPERTS

STACKED = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps.weight": "mlp.experts.gate_up_proj",
    "ffn_up_exps.weight": "mlp.experts.gate_up_proj",
    "ffn_down_exps.weight": "mlp.experts.down_proj",
}
NEXT_DELTA = {
    "attn_qkv": "linear_attn.in_proj_qkvz",
    "attn_gate": "linear_attn.in_proj_qkvz",
    "ssm_ba": "linear_attn.in_proj_ba",
}


def change(b: Blueprint, name: str) -> Change | None:
    """The change of a dense model's tensors, and the half of gate and up that is meant."""
    length = b.values.integer("moe_intermediate_size")
    own: dict[str, Change] = {
        "ffn_gate_exps": lambda values: values[:, :length],
        "ffn_up_exps": lambda values: values[:, length:],
    }
    return own.get(name) or qwen2_moe.change(b, name) or qwen35.change(b, name)


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Gate and up are one tensor, the shared expert's gate is a matrix of one row."""
    if name in ("ffn_gate_exps", "ffn_up_exps"):
        return shape[0], 2 * shape[1], shape[2]
    return qwen35.stored(b, name, qwen2_moe.stored(b, name, shape))


def change_next(b: Blueprint, name: str) -> Change | None:
    """The change of norms and decays, and the parts of a delta net's inputs that are meant."""
    own: dict[str, Change] = {
        "attn_qkv": lambda values: _parts(b, values)[0],
        "attn_gate": lambda values: _parts(b, values)[1],
        "ssm_conv1d": lambda values: values[:, 0],
        "ssm_a": lambda values: -np.exp(values),
    }
    return own.get(name) or qwen2_moe.change(b, name) or (qwen35.change(b, name) if name.endswith("norm") else None)


def stored_next(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """All inputs of a delta net are one matrix."""
    if name in ("attn_qkv", "attn_gate"):
        return sum(_widths(b)) * b.values.integer("linear_num_key_heads"), shape[1]
    return qwen35.stored(b, name, qwen2_moe.stored(b, name, shape))


def _widths(b: Blueprint) -> tuple[int, int, int, int]:
    """Rows of queries, keys, values and gates that belong to one head of keys."""
    key_heads, heads = (b.values.integer(f"linear_num_{of}_heads") for of in ("key", "value"))
    keys, values = (b.values.integer(f"linear_{of}_head_dim") for of in ("key", "value"))
    return keys, keys, heads // key_heads * values, heads // key_heads * values


def _parts(b: Blueprint, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Queries, keys and values of all heads, and the gates."""
    groups = values.reshape(b.values.integer("linear_num_key_heads"), -1, values.shape[1])
    parts = np.split(groups, np.cumsum(_widths(b))[:-1].tolist(), axis=1)
    *qkv, z = (part.reshape(-1, values.shape[1]) for part in parts)
    return np.concatenate(qkv), z


def check_next(b: Blueprint) -> None:
    """UnsupportedError for other kinds of layers, or if the weights of experts do not sum to 1."""
    qwen35.check(b)
    if not b.values.flag("norm_topk_prob", True):
        raise UnsupportedError(f"{b.values.place}: norm_topk_prob of", "false", ["true"])


FAMILY = replace(
    qwen35.FAMILY,
    layer=LAYER | qwen35.NORMS | qwen35.DELTA | STACKED | SHARED,
    each={f"{name}.weight": f"{own}.weight" for name, own in EXPERTS.items() if "*" in own},
    stored=stored,
    change=change,
)
NEXT = Family(
    layer=LAYER | qwen35.NORMS | qwen35.DELTA | NEXT_DELTA | EXPERTS | SHARED,
    predicting=qwen35.PREDICTING,
    further=qwen35.FURTHER,
    stored=stored_next,
    change=change_next,
    expected={**qwen35.EXPECTED_VALUES, "decoder_sparse_step": (1,), "mlp_only_layers": ([],)},
    check=check_next,
)
