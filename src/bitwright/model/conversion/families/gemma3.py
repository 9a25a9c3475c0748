"""Gemma 3: norms store their weight minus 1, to which GGUF files add the 1. Vision is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.conversion.families.family import (
    EXPECTED,
    LAYER,
    VISION,
    Change,
    Family,
    expect,
    expect_plain_windows,
)
from bitwright.model.steps.gemma3 import LAYERS_27B


def change(b: Blueprint, name: str) -> Change | None:
    """The change of norms."""
    return plus_one if name.endswith("norm") else None


def plus_one(values: NDArray[Any]) -> NDArray[Any]:
    """float32 values and 1."""
    return np.asarray(values + np.float32(1))


def check(b: Blueprint) -> None:
    """UnsupportedError for another scale of attention or other layers than the architecture's."""
    expect(b.values, "query_pre_attn_scalar", (width := b.width // b.heads if b.layers == LAYERS_27B else b.head_dim,
                                               float(width)))  # fmt: skip
    expect_plain_windows(b)


FAMILY = Family(
    layer=LAYER
    | {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
    change=change,
    expected={
        **{key: values for key, values in EXPECTED.items() if key != "hidden_act"},
        "hidden_activation": ("gelu_pytorch_tanh",),
        "use_bidirectional_attention": (False,),
        "attn_logit_softcapping": (),
    },
    ropes=("linear",),
    check=check,
    aside=VISION,
)
