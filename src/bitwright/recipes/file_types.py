"""llama.cpp's file types as rules: one entry each, by llama_tensor_get_type_impl.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.recipes.rules import (
    Rule,
    always,
    eight_experts,
    either,
    falcon,
    first,
    first_share,
    inner,
    shared_keys,
    shared_keys_or_experts,
    unless_eight_experts,
    where_more_bits,
    with_importance,
    without_importance,
)


@dataclass(frozen=True)
class FileType:
    """number: `general.file_type` of the files. base: the format of tensors without a rule. rules: by role; attn_v
    includes attn_qkv and attn_kv_b. low_bit: for the I-quants of 1 and 2 bits, which count layers differently and have
    other rules for 8 experts."""

    number: int
    base: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    low_bit: bool = False


def low_bit(number: int, base: str, better: str, embedding: str, output_projection: str | None) -> FileType:
    """The I-quants of up to 2.7 bits; `better` is for the most sensitive tensors."""
    rules = {
        "token_embd": always(embedding),
        "attn_v": shared_keys_or_experts("q4_k", better),
        "attn_k": eight_experts(always("q4_k")),
        "ffn_down": first_share(8, better),
        "attn_output": either(eight_experts(always("q5_k")), lambda place: output_projection),
    }
    return FileType(number, base, rules, low_bit=True)


def attention_output(name: str | None = None, with_experts: bool = True, falcon_name: str | None = None) -> Rule:
    """`name`, and Q5_K in models of 8 experts."""
    plain: Rule = unless_eight_experts(lambda place: name)
    rule = either(eight_experts(always("q5_k")), plain) if with_experts else plain
    return falcon(always(falcon_name) if falcon_name else None, rule)


IQ4 = {
    "attn_v": shared_keys("q5_k"),
    "ffn_down": without_importance(first_share(8, "q5_k")),
    "attn_output": attention_output(),
}
K_M_DOWN = where_more_bits("q6_k")
FALCON_4_DOWN = either(first_share(16, "q6_k"), where_more_bits("q5_k"))
FALCON_3_DOWN = either(first_share(16, "q5_k"), where_more_bits("q4_k"))
IQ3_M_DOWN = either(first_share(8, "q4_k"), eight_experts(where_more_bits("q4_k")))

FILE_TYPES: dict[str, FileType] = {
    "f32": FileType(0, "f32"),
    "f16": FileType(1, "f16"),
    "bf16": FileType(32, "bf16"),
    "q4_0": FileType(2, "q4_0", {"ffn_down": with_importance(first_share(8, "q4_1"))}),
    "q4_1": FileType(3, "q4_1"),
    "q5_0": FileType(8, "q5_0", {"ffn_down": with_importance(first_share(8, "q5_1"))}),
    "q5_1": FileType(9, "q5_1"),
    "q8_0": FileType(7, "q8_0"),
    "q2_k": FileType(10, "q2_k", {
        "attn_v": shared_keys("q4_k", "q3_k"), "ffn_down": always("q3_k"), "attn_output": attention_output("q3_k"),
    }),
    "q2_k_s": FileType(21, "q2_k", {"attn_v": shared_keys("q4_k"), "ffn_down": first_share(8, "q4_k")}),
    "q3_k_s": FileType(11, "q3_k", {"attn_output": attention_output()}),
    "q3_k_m": FileType(12, "q3_k", {
        "attn_v": first(2, "q5_k", "q4_k"), "ffn_down": falcon(FALCON_3_DOWN, first_share(16, "q5_k", "q4_k")),
        "attn_output": attention_output("q4_k"),
    }),
    "q3_k_l": FileType(13, "q3_k", {
        "attn_v": always("q5_k"), "ffn_down": falcon(always("q4_k"), always("q5_k")),
        "attn_output": attention_output("q5_k", with_experts=False, falcon_name="q4_k"),
    }),
    "q4_k_s": FileType(14, "q4_k", {
        "attn_v": first(4, "q5_k"), "ffn_down": falcon(None, first_share(8, "q5_k")), "attn_output": attention_output(),
    }),
    "q4_k_m": FileType(15, "q4_k", {
        "attn_v": where_more_bits("q6_k"), "ffn_down": falcon(FALCON_4_DOWN, K_M_DOWN),
        "attn_output": attention_output(),
    }),
    "q5_k_s": FileType(16, "q5_k"),
    "q5_k_m": FileType(17, "q5_k", {"attn_v": where_more_bits("q6_k"), "ffn_down": K_M_DOWN}),
    "q6_k": FileType(18, "q6_k"),
    "iq4_nl": FileType(25, "iq4_nl", IQ4),
    "iq4_xs": FileType(30, "iq4_xs", IQ4),
    "mxfp4_moe": FileType(38, "mxfp4"),
    "tq1_0": FileType(36, "tq1_0", {"token_embd": always("q4_k")}),
    "tq2_0": FileType(37, "tq2_0", {"token_embd": always("q4_k")}),
    "q1_0": FileType(40, "q1_0"),
    "q2_0": FileType(41, "q2_0", {"token_embd": always("q4_k")}),
    "iq3_xs": FileType(22, "iq3_s", {
        "attn_v": shared_keys("q4_k"), "attn_k": always("iq3_xxs"), "attn_q": always("iq3_xxs"),
        "attn_output": attention_output(), "ffn_gate": inner("iq3_xxs"), "ffn_up": inner("iq3_xxs"),
    }),
    "iq3_xxs": FileType(23, "iq3_xxs", {
        "token_embd": always("iq3_s"), "attn_k": always("iq2_s"), "attn_q": always("iq2_s"),
        "attn_v": either(shared_keys("q4_k"), without_importance(always("iq3_s"))),
        "ffn_down": without_importance(first_share(8, "q4_k", "q3_k")),
        "attn_output": attention_output("iq3_s"),
    }),
    "iq3_s": FileType(26, "iq3_s", {"attn_v": shared_keys("q4_k"), "attn_output": attention_output()}),
    "iq3_m": FileType(27, "iq3_s", {
        "attn_v": always("q4_k"), "ffn_down": IQ3_M_DOWN, "attn_output": attention_output("q4_k"),
    }),
    "iq2_xxs": low_bit(19, "iq2_xxs", "q2_k", embedding="q2_k", output_projection=None),
    "iq2_xs": low_bit(20, "iq2_xs", "q2_k", embedding="q2_k", output_projection=None),
    "iq2_s": low_bit(28, "iq2_xs", "iq3_s", embedding="iq3_s", output_projection="iq3_s"),
    "iq2_m": low_bit(29, "iq2_s", "iq3_s", embedding="iq3_s", output_projection="iq3_s"),
    "iq1_s": low_bit(24, "iq1_s", "q2_k", embedding="q2_k", output_projection="iq2_xxs"),
    "iq1_m": low_bit(31, "iq1_m", "q2_k", embedding="q2_k", output_projection="iq2_xxs"),
}  # fmt: skip
ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}
