"""Keys of a model file that change what it computes. The engine honours some; a file with others is refused by name.

All keys: llama.cpp's src/llama-arch.cpp; which of them a family uses: its src/models/*.cpp.
"""

from __future__ import annotations

import math

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.io.values import Values

HONOURED = {
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size"),
    *("nextn_predict_layers", "expert_count", "expert_used_count", "expert_feed_forward_length"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("attention.layer_norm_rms_epsilon", "attention.scale", "attention.shared_kv_layers"),
    *("rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor"),
    *("rope.scaling.attn_factor", "rope.scaling.original_context_length", "rope.scaling.yarn_beta_fast"),
    "rope.scaling.yarn_beta_slow",
}
WINDOWS = {
    *("attention.sliding_window", "attention.sliding_window_pattern", "attention.key_length_swa"),
    *("attention.value_length_swa", "rope.freq_base_swa"),
}  # which families without windows ignore in llama.cpp too
CAPS = {"attn_logit_softcapping", "final_logit_softcapping"}
SHARED = ("qwen2moe", "qwen35moe", "qwen3next")  # mixtures with an expert that takes every token
SHARED_KEYS = {"expert_weights_scale", "expert_shared_feed_forward_length"}
STATES = {"ssm.conv_kernel", "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size"}
DELTA = {  # rope.dimension_sections: in a text, all sections of a rotation have one position
    *STATES,
    *("full_attention_interval", "attention.recurrent_layers", "rope.dimension_sections"),
}
SCALES = ("embedding_scale", "residual_scale", "logit_scale")
OF_FAMILY = {  # honoured by these alone
    "deepseek2": {
        *("attention.kv_lora_rank", "attention.q_lora_rank", "attention.key_length_mla", "attention.value_length_mla"),
        *("expert_weights_scale", "expert_weights_norm", "expert_shared_count", "leading_dense_block_count"),
        *("expert_group_count", "expert_group_used_count", "expert_gating_func"),
        "rope.scaling.yarn_log_multiplier",
    },
    "gemma3": CAPS,
    "gemma4": {"final_logit_softcapping", "rope.dimension_count_swa", "embedding_length_per_layer_input"},
    "glm4moe": {
        *("expert_weights_scale", "expert_weights_norm", "expert_shared_count", "leading_dense_block_count"),
    },
    "gpt-oss": {"expert_weights_scale"},
    "granite": {"rope.scaling.finetuned", *SCALES, *STATES},  # states: of Granite 4, whose smallest models have none
    "granitehybrid": {"rope.scaling.finetuned", "expert_shared_feed_forward_length", *SCALES, *STATES},
    "lfm2": {"shortconv.l_cache"},
    "lfm2moe": {"shortconv.l_cache", "leading_dense_block_count"},
    "mistral3": {"attention.temperature_scale", "rope.scaling.yarn_log_multiplier"},
    "qwen2moe": SHARED_KEYS,
    "qwen3moe": {"expert_weights_scale"},
    "qwen35": DELTA,
    "qwen35moe": SHARED_KEYS | DELTA,
    "qwen3next": SHARED_KEYS | DELTA,
}
# What a text's logits do not depend on: pooling and classes are for embeddings, the rest describes the file.
HARMLESS = {
    *("tensor_data_layout", "pooling_type", "classifier.output_labels", "embedding_length_out", "features_length"),
    *("dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out", "rope.scaling.finetuned"),
    *("attention.layer_norm_epsilon", "attention.group_norm_epsilon", "attention.group_norm_groups"),
    *("leading_dense_block_count", "expert_shared_count", "expert_shared_feed_forward_length", "expert_gating_func"),
    *("expert_weights_norm", "expert_weights_scale", "expert_group_count", "expert_group_used_count"),
}  # keys of experts: files that have experts are refused, unless their family is a mixture
# Keys that change the numbers unless they have one of these values.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention.causal": (True,),
    **dict.fromkeys(CAPS, (0,)),
    **dict.fromkeys(("attention.clamp_kqv", "attention.max_alibi_bias", "attention.temperature_scale"), (0,)),
    **dict.fromkeys(("attention.temperature_length", "n_deepstack_layers", "rope.scaling.yarn_log_multiplier"), (0,)),
    **dict.fromkeys((*SCALES, "attention.output_scale"), (0, 1)),
    **dict.fromkeys(("attention.value_scale", "rope.scaling.alpha"), (0, 1)),
    "rope.scaling.yarn_ext_factor": (-1, 1),
    "use_parallel_residual": (False,),
    "hidden_activation": ("silu", "swish"),
}
_GELU: dict[str, tuple[object, ...]] = {"hidden_activation": ("gelu_pytorch_tanh", "gelu_tanh")}
ROUTED: dict[str, tuple[object, ...]] = {  # mixtures whose weights sum to expert_weights_scale
    "expert_weights_norm": (True,),
    **dict.fromkeys(("expert_group_count", "expert_group_used_count"), (0, 1)),
}
ALL_ROUTED = ROUTED | {  # in every layer, and with nothing else
    **dict.fromkeys(("expert_shared_count", "expert_shared_feed_forward_length"), (0,)),
    "leading_dense_block_count": (0,),
}
WITH_SHARED: dict[str, tuple[object, ...]] = {"expert_gating_func": (1,), "expert_shared_count": (0, 1)}
NEUTRAL_OF_FAMILY: dict[str, dict[str, tuple[object, ...]]] = {
    "deepseek2": {"expert_shared_feed_forward_length": (0,)},
    "gemma3": _GELU,
    "gemma4": _GELU
    | ALL_ROUTED
    | {"expert_gating_func": (1,), "expert_weights_scale": (0, 1), "attention.scale": (0, 1)},
    "glm4moe": ROUTED | {"expert_gating_func": (2,), "expert_shared_feed_forward_length": (0,)},  # sigmoid
    "gpt-oss": ALL_ROUTED | {"expert_gating_func": (1, 3)},  # softmax, of all or of those chosen
    "granitehybrid": ROUTED | WITH_SHARED | {"leading_dense_block_count": (0,), "expert_weights_scale": (0, 1)},
    "lfm2moe": ALL_ROUTED | {"expert_gating_func": (2,), "expert_weights_scale": (0, 1)},
    "qwen3moe": ALL_ROUTED | {"expert_gating_func": (1,)},  # softmax
    **dict.fromkeys(SHARED, ALL_ROUTED | WITH_SHARED),
    "qwen2moe": ALL_ROUTED | WITH_SHARED | {"expert_weights_norm": (False,)},
}


def check(values: Values) -> None:
    """BitwrightError if a key of the architecture changes the numbers in a way that bitwright does not compute, or is
    not known to change nothing."""
    architecture = values.prefix
    own = NEUTRAL_OF_FAMILY.get(architecture, {})
    known = ((HONOURED | WINDOWS | HARMLESS) - own.keys()) | OF_FAMILY.get(architecture, set())
    neutral = NEUTRAL | {"rope.scaling.yarn_attn_factor": (1, _yarn_magnitude(values))} | own
    for name in values.values:
        key = name.removeprefix(f"{architecture}.")
        if key == name or key in known:
            continue
        value = values.get(key)
        if isinstance(value, bool | int | float | str) and value in neutral.get(key, ()):
            continue
        why = (
            "bitwright's models never look ahead, and this one does (an embedding model?)"
            if key == "attention.causal"
            else f"bitwright's {architecture} does not compute what it asks for"
            if key in neutral
            else f"bitwright's {architecture} does not know it, and it could change the numbers"
        )
        raise BitwrightError(
            f"{values.place}: cannot run with the key {name} ({values.found(key)}): {why}. Run the file in llama.cpp, "
            f"or, if the key has no effect, drop it: gguf-new-metadata --remove-metadata {name} IN OUT"
        )


def _yarn_magnitude(values: Values) -> float:
    """YaRN's own factor on queries and keys as float32. llama.cpp's converter writes it where config.json spells it
    out, and llama.cpp computes it all the same."""
    return float(np.float32(0.1 * math.log(values.optional("rope.scaling.factor") or 1.0) + 1))
