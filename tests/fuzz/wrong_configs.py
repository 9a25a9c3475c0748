"""Every key of every family's config.json, and of the GGUF metadata it becomes, with every kind of wrong value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import tiny
import wrong_types

from bitwright import formats
from bitwright.io.gguf_values import Typed
from bitwright.model.architectures import outline
from bitwright.model.architectures.blueprint import Blueprint
from bitwright.model.architectures.families import blueprint

POISONS: dict[str, Any] = {
    "null": None, "text": "four", "empty text": "", "control characters": "\x1b[2J", "true": True, "false": False,
    "minus one": -1, "zero": 0, "one": 1, "three": 3, "2^31": 1 << 31, "2^40": 1 << 40, "2^64": 1 << 64,
    "10^400": 10**400, "1.5": 1.5, "4.0": 4.0, "NaN": math.nan, "infinity": math.inf, "most": 1e308, "least": 5e-324,
    "no elements": [], "a number": [1], "a text in a list": ["a"], "fours": [4] * 4, "nulls": [None] * 4,
    "kinds": ["full_attention"] * 4, "nested": [[[]]], "an object": {}, "an object of one": {"a": 1},
}  # fmt: skip
MORE = ("partial_rotary_factor", "rope_scaling", "rope_parameters", "quantization_config", "text_config", "layer_types",
        "sliding_window", "tie_word_embeddings", "attention_bias", "head_dim", "use_qk_norm", "per_layer_config",
        "altup_num_inputs", "laurel_rank", "full_attention_interval", "linear_attn_config", "q_lora_rank",
        "num_kv_shared_layers", "n_shared_experts", "first_k_dense_replace", "logits_scaling")  # fmt: skip


@cache
def made(family: str) -> Blueprint:
    return blueprint(tiny.config(family), "config.json", formats.get("bf16"))


def configs() -> Iterator[tuple[str, str, str]]:
    """(family, key of config.json, poison): all of them."""
    for family in tiny.CONFIGS:
        yield from itertools.product([family], dict.fromkeys([*tiny.config(family), *MORE]), POISONS)


def metadata() -> Iterator[tuple[str, str, str]]:
    """(family, key of GGUF metadata, poison): all of them."""
    for family in tiny.CONFIGS:
        more = (f"{made(family).architecture}.{key}" for key in wrong_types.MORE)
        keys = dict.fromkeys([*made(family).metadata, *more, "general.architecture", "general.name"])
        yield from itertools.product([family], keys, wrong_types.POISONS)


def of_config(family: str, key: str, poison: str) -> outline.Outline:
    """The outline of a config.json with one wrong value; raises what the reader raises."""
    config = {**tiny.config(family), key: POISONS[poison]}
    return outline.from_blueprint(blueprint(config, "config.json", formats.get("bf16")), "name", "source", "standing")


def of_metadata(family: str, key: str, poison: str) -> outline.Outline:
    """The outline of a GGUF file with one wrong value; raises what the reader raises."""
    value = _decoded(wrong_types.POISONS[poison])
    return outline._outline("name", {**made(family).metadata, key: value}, made(family).tensors, "source", "standing")


def _decoded(value: Any) -> Any:
    """As the reader decodes it: arrays of numbers are NumPy's."""
    if not isinstance(value, Typed):
        return value
    numbers = value.type.startswith("array") and "string" not in value.type
    return np.array(value.value, value.type[6:-1]) if numbers else value.value
