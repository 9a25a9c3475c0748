"""The shape of latent attention, read from GGUF metadata."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bitwright.io.values import MAX_TOKENS, Values
from bitwright.model.architectures.layers import Layer
from bitwright.model.rope import Rope


@dataclass(frozen=True)
class Latent:
    """Latent attention: a vector of `rank` values for each token; of a head's query `plain` values that are not
    rotated, made from a vector of `query_rank` (0: from the layer's input); a head's `value` values; and the `scale` of
    scores."""

    rank: int
    query_rank: int
    plain: int
    value: int
    scale: float

    @classmethod
    def read(cls, values: Values, layer: Layer, rope: Rope) -> Latent:
        """Of a GGUF file with these values, layers and rotations. FileFormatError for sizes that do not fit.

        YaRN multiplies scores by the square of 0.1 m ln(factor) + 1, and rotated parts by nothing more; the key
        yarn_log_multiplier is 0.1 m (llama.cpp's src/models/deepseek2.cpp).
        """
        rank = values.integer("attention.kv_lora_rank", low=1, high=layer.key_dim)
        if rank + rope.dim != layer.key_dim:
            raise values.error("rope.dimension_count", f"the {layer.key_dim - rank} values after a latent vector")
        width = values.integer("attention.key_length_mla", low=rope.dim + 1, high=MAX_TOKENS)
        grown = 1.0
        if rope.scaling == "yarn" and rope.factor > 1:
            grown += values.number("rope.scaling.yarn_log_multiplier") * math.log(rope.factor)
        return cls(
            rank=rank,
            query_rank=values.integer("attention.q_lora_rank", 0),
            plain=width - rope.dim,
            value=values.integer("attention.value_length_mla", low=1, high=MAX_TOKENS),
            scale=grown * grown / math.sqrt(width),
        )
