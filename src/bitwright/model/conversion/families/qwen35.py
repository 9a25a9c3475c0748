"""Qwen 3.5 and 3.6: norms store their weight minus 1, and the heads of values are put into the order in which they take
turns with the heads of keys. Vision is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import LAYER, ROTATED_IN_PART, Change, Family, expect_layers
from bitwright.model.conversion.families.gemma3 import plus_one

NORMS = {"post_attention_norm": "post_attention_layernorm"}
DELTA = {
    "attn_qkv": "linear_attn.in_proj_qkv",
    "attn_gate": "linear_attn.in_proj_z",
    "ssm_beta": "linear_attn.in_proj_b",
    "ssm_alpha": "linear_attn.in_proj_a",
    "ssm_conv1d": "linear_attn.conv1d",
    "ssm_dt.bias": "linear_attn.dt_bias",
    "ssm_a": "linear_attn.A_log",
    "ssm_norm": "linear_attn.norm",
    "ssm_out": "linear_attn.out_proj",
}
PREDICTING = ("mtp_num_hidden_layers", "mtp.fc.weight")
FURTHER = {  # of the layer that predicts further tokens
    "nextn.eh_proj": "fc",
    "nextn.enorm": "pre_fc_norm_embedding",
    "nextn.hnorm": "pre_fc_norm_hidden",
    "nextn.shared_head_norm": "norm",
}


def change(b: Blueprint, name: str) -> Change | None:
    """The change of norms, of decays, and of the order of heads."""
    if name.endswith("norm") and name != "ssm_norm":
        return plus_one
    key_heads, heads = (b.values.integer(f"linear_num_{of}_heads") for of in ("key", "value"))
    width, keys = (b.values.integer(f"linear_{of}_head_dim") for of in ("value", "key"))
    turns = partial(taking_turns, key_heads=key_heads, heads=heads)
    found: dict[str, Change] = {
        "attn_qkv": partial(turns, first=2 * key_heads * keys),
        "attn_gate": turns,
        "ssm_beta": turns,
        "ssm_alpha": turns,
        "ssm_conv1d": lambda values: turns(values[:, 0], first=2 * key_heads * keys),
        "ssm_dt": turns,
        "ssm_a": lambda values: turns(-np.exp(values)),
        "ssm_out": lambda values: turns(values.reshape(-1, heads * width).T).T,
    }
    moves = heads != key_heads or name in ("ssm_conv1d", "ssm_a")
    return found.get(name) if moves else None


def taking_turns(values: NDArray[Any], key_heads: int, heads: int, first: int = 0) -> NDArray[Any]:
    """Rows from `first` on, those of the heads of values, which lie together for each head of keys: the first of each
    head of keys, then the second of each."""
    kept, moved = values[:first], values[first:]
    grouped = moved.reshape(key_heads, heads // key_heads, -1, *moved.shape[1:])
    return np.concatenate([kept, grouped.swapaxes(0, 1).reshape(moved.shape)])


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A convolution is (channels, 1, taps)."""
    return (shape[0], 1, shape[1]) if name == "ssm_conv1d" else shape


def check(b: Blueprint) -> None:
    """UnsupportedError for other kinds of layers."""
    expect_layers(b, ("linear_attention", "full_attention"))


EXPECTED_VALUES: Mapping[str, tuple[object, ...]] = {
    **ROTATED_IN_PART,
    "attention_bias": (False,),
    "attn_output_gate": (True,),
    "rms_norm_eps": (1e-6,),  # the normalization of queries and keys has this one in transformers, the file's in GGUF
}
FAMILY = Family(
    layer=LAYER | NORMS | DELTA,
    predicting=PREDICTING,
    further=FURTHER,
    stored=stored,
    change=change,
    expected=EXPECTED_VALUES,
    check=check,
    aside=("model.visual.",),
)
