"""Llama, and models like it (Granite, Mistral, SmolLM 3): rows of q and k are reordered, and Llama 3's frequencies
become a tensor.

Hugging Face rotates pairs of values half a head apart, GGUF files of these architectures pairs of neighbours.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UnsupportedError
from bitwright.io.values import MAX_TOKENS
from bitwright.model.architectures.blueprint import Blueprint, rope_type
from bitwright.model.conversion.families.family import (
    EXPECTED,
    ROPES,
    SCALES,
    VISION,
    Change,
    Family,
    expect,
    no_windows,
    nothing,
)
from bitwright.model.rope import llama3_divisors
from bitwright.model.steps.llama import UNROTATED


def change(b: Blueprint, name: str) -> Change | None:
    """The change of rows of q and k."""
    heads = {"attn_q": b.heads, "attn_k": b.kv_heads}
    return partial(neighbours, heads=heads[name]) if name in heads else None


def neighbours(values: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows (heads * head width, ...) in the order that puts the two of a rotated pair next to each other."""
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def made(b: Blueprint) -> dict[str, NDArray[np.float32]]:
    """Llama 3's divisors of the frequencies, if config.json asks for them."""
    scaling = b.rope_values()
    if rope_type(scaling) != "llama3":
        return {}
    low, high = scaling.number("low_freq_factor"), scaling.number("high_freq_factor")
    if low >= high:
        raise scaling.error("high_freq_factor", f"above low_freq_factor, {low:g}")
    base, original = b.metadata[f"{b.architecture}.rope.freq_base"], "original_max_position_embeddings"
    context = scaling.integer(original, low=1, high=MAX_TOKENS)
    divisors = llama3_divisors(base, b.head_dim, scaling.number("factor", low=1), low, high, context)
    return {"rope_freqs.weight": divisors.astype(np.float32)}


def check_mistral3(b: Blueprint) -> None:
    """UnsupportedError for a window, or if queries and keys are scaled in another way than by mscale_all_dim."""
    no_windows(b)
    scaling = b.rope_values()
    expect(scaling, "mscale", (1, 1.0))
    if scaling.optional("mscale_all_dim"):
        expect(scaling, "attention_factor", ())
        if not scaling.has("mscale"):
            raise UnsupportedError(f"{b.values.place}: mscale_all_dim without", "mscale", ["both"])


def check_smollm3(b: Blueprint) -> None:
    """UnsupportedError if other layers than every fourth know no positions, or if some have a window."""
    no_windows(b)
    usual = [int((layer + 1) % UNROTATED["smollm3"] != 0) for layer in range(b.layers)]
    expect(b.values, "no_rope_layers", (usual,))
    if not b.values.has("no_rope_layers"):
        expect(b.values, "no_rope_layer_interval", (UNROTATED["smollm3"],))


FAMILY = Family(
    change=change,
    made=made,
    expected=EXPECTED | {"sliding_window": ()},
    ropes=(*ROPES, "llama3"),
)
MISTRAL3 = replace(FAMILY, made=nothing, ropes=ROPES, scales=SCALES, check=check_mistral3, aside=VISION)
SMOLLM3 = replace(
    FAMILY,
    made=nothing,
    expected=EXPECTED | {"attention_bias": (False,), "mlp_bias": (False,)},
    ropes=ROPES,
    check=check_smollm3,
)
