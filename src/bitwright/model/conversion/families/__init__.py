"""How the families that are converted name their tensors, and what is done to the values: one small file each."""

from __future__ import annotations

from bitwright.model.conversion.families import (
    deepseek,
    gemma3,
    gemma4,
    glm,
    gpt_oss,
    granite_hybrid,
    lfm2,
    llama,
    olmo,
    phi3,
    qwen,
    qwen3_moe,
    qwen35,
    qwen35_moe,
)
from bitwright.model.conversion.families.family import Family

FAMILIES: dict[str, Family] = {  # by config.json's model_type
    "llama": llama.FAMILY,
    "mistral": llama.FAMILY,
    "granite": llama.FAMILY,
    "granitemoehybrid": granite_hybrid.FAMILY,
    "deepseek_v2": deepseek.V2,
    "deepseek_v3": deepseek.V3,
    "glm4": glm.GLM4,
    "glm4_moe": glm.GLM4_MOE,
    "glm4_moe_lite": deepseek.GLM4_MOE_LITE,
    "gpt_oss": gpt_oss.FAMILY,
    "lfm2": lfm2.FAMILY,
    "lfm2_moe": lfm2.MIXTURE,
    "ministral3": llama.MISTRAL3,
    "mistral3": llama.MISTRAL3,
    "smollm3": llama.SMOLLM3,
    "qwen2": qwen.FAMILY,
    "qwen3": qwen.FAMILY,
    "qwen3_moe": qwen3_moe.FAMILY,
    "qwen3_5": qwen35.FAMILY,
    "qwen3_5_text": qwen35.FAMILY,
    "qwen3_5_moe": qwen35_moe.FAMILY,
    "qwen3_5_moe_text": qwen35_moe.FAMILY,
    "qwen3_next": qwen35_moe.NEXT,
    "olmo2": olmo.OLMO2,
    "olmo3": olmo.OLMO3,
    "phi3": phi3.FAMILY,
    "gemma3": gemma3.FAMILY,
    "gemma3_text": gemma3.FAMILY,
    "gemma4": gemma4.FAMILY,
    "gemma4_text": gemma4.FAMILY,
}
