"""OLMo 2 and 3: Hugging Face's tensors as they are, with norms after attention and feed-forward."""

from __future__ import annotations

from dataclasses import replace

from bitwright.model.conversion.families.family import EXPECTED, LAYER, Family, expect_plain_windows

OLMO2 = Family(
    layer=LAYER
    | {
        "post_attention_norm": "post_attention_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
    expected=EXPECTED | {"attention_bias": (False,)},
)
OLMO3 = replace(OLMO2, check=expect_plain_windows)
