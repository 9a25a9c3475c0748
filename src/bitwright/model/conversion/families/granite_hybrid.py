"""Granite 4: gate and up of its feed-forwards, and of all experts, are one tensor; rows of q and k are reordered, as in
other Granites. Those without layers of Mamba 2 become files of Granite.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UnsupportedError
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families import llama
from bitwright.model.conversion.families.family import LAYER, Change, expect, expect_layers

MAMBA = {
    "ssm_in": "mamba.in_proj",
    "ssm_conv1d": "mamba.conv1d",
    "ssm_dt.bias": "mamba.dt_bias",
    "ssm_a": "mamba.A_log",
    "ssm_d": "mamba.D",
    "ssm_norm": "mamba.norm",
    "ssm_out": "mamba.out_proj",
}
FEED_FORWARDS = {
    **dict.fromkeys(("ffn_gate", "ffn_up", "ffn_gate_shexp", "ffn_up_shexp"), "shared_mlp.input_linear"),
    **dict.fromkeys(("ffn_down", "ffn_down_shexp"), "shared_mlp.output_linear"),
    **dict.fromkeys(("ffn_gate_exps", "ffn_up_exps"), "block_sparse_moe.input_linear"),
    "ffn_down_exps": "block_sparse_moe.output_linear",
    "ffn_gate_inp": "block_sparse_moe.router.layer",
}
GATES, UPS = (tuple(f"ffn_{name}{end}" for end in ("", "_shexp", "_exps")) for name in ("gate", "up"))


def change(b: Blueprint, name: str) -> Change | None:
    """The half of gate and up that is meant, the decays, and shapes."""
    groups = b.values.integer("mamba_n_groups")
    found: dict[str, Change] = {
        **dict.fromkeys(GATES, lambda values: _halves(values)[0]),
        **dict.fromkeys(UPS, lambda values: _halves(values)[1]),
        "ssm_conv1d": lambda values: values.reshape(len(values), -1) if values.ndim > 1 else values,
        "ssm_a": lambda values: -np.exp(values)[:, None],
        "ssm_d": lambda values: values[:, None],
        "ssm_norm": lambda values: values.reshape(groups, -1),
    }
    return found.get(name) or llama.change(b, name)


def _halves(values: NDArray[Any]) -> list[NDArray[Any]]:
    return np.split(values, 2, axis=-2)


def stored(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Gate and up are one tensor; a convolution is (channels, 1, taps); vectors have one dimension."""
    if name in (*GATES, *UPS):
        return (*shape[:-2], 2 * shape[-2], shape[-1])
    if name == "ssm_conv1d":
        return (shape[0], 1, shape[1]) if len(shape) > 1 else shape
    return (math.prod(shape),) if name in ("ssm_a", "ssm_d", "ssm_norm") else shape


def check(b: Blueprint) -> None:
    """UnsupportedError for other kinds of layers, heads of another width, or experts without a layer of Mamba 2: no
    step runs those."""
    expect_layers(b, ("mamba", "attention", "linear_attention", "full_attention"))
    if b.architecture == "granitemoe":
        raise UnsupportedError(f"{b.values.place}: experts in layers that are all of", "attention", ["mamba"])
    inner, heads = b.metadata[f"{b.architecture}.ssm.inner_size"], b.values.integer("mamba_n_heads")
    expect(b.values, "mamba_d_head", ("auto", inner // heads))


FAMILY = replace(
    llama.FAMILY,
    layer=LAYER | MAMBA | FEED_FORWARDS,
    stored=stored,
    change=change,
    expected={
        **llama.FAMILY.expected,
        "mamba_conv_bias": (True,),
        "mamba_proj_bias": (False,),
        "normalization_function": ("rmsnorm",),
        "position_embedding_type": ("rope", "nope"),
        "time_step_limit": ([0.0, math.inf],),
    },
    check=check,
)
