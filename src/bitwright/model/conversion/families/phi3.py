"""Phi 3 and 4: Hugging Face's tensors as they are, q, k and v in one, gate and up in another. LongRoPE's divisors are
listed in config.json, and become two tensors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.io.values import LEAST, MOST
from bitwright.model.architectures.blueprint import Blueprint, rope_type
from bitwright.model.conversion.families.family import LAYER, ROTATED_IN_PART, Family


def made(b: Blueprint) -> dict[str, NDArray[np.float32]]:
    """The divisors for long and for short contexts, if config.json has them."""
    scaling = b.rope_values()
    if not rope_type(scaling):
        return {}
    found = {}
    for kind in ("long", "short"):
        divisors = scaling.numbers(key := f"{kind}_factor", b.rotated // 2)
        if not ((divisors >= LEAST) & (divisors <= MOST)).all():
            raise scaling.error(key, f"numbers from {LEAST:g} to {MOST:g}")
        found[f"rope_factors_{kind}.weight"] = divisors.astype(np.float32)
    return found


FAMILY = Family(
    layer=LAYER | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
    made=made,
    expected=ROTATED_IN_PART,
    ropes=("longrope", "su"),
)
