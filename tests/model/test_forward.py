"""Every architecture's step, run by the NumPy oracle, gives the result of the plain reference forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_latent
import synthetic_mamba
import synthetic_model
from reference_forward import Reference, log_softmax

from bitwright.io import gguf
from bitwright.kernels import Oracle
from bitwright.model.model import Model

YARN = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0, "rope__scaling__original_context_length": 24}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama linear": ("llama", {"rope__scaling__type": "linear", "rope__scaling__factor": 2.0}),
    "llama yarn": ("llama", YARN),
    "llama with divisors": ("llama", {}),
    "llama untied": ("llama", {}),
    "llama, every head its own keys": ("llama", {"attention__head_count_kv": 2, "attention__head_count": 2,
                                                 "attention__key_length": 32, "attention__value_length": 32}),
    "deepseek2": ("deepseek2", {}),
    "deepseek2 yarn": ("deepseek2", synthetic_latent.YARN),
    "deepseek2 by a softmax, one matrix of queries": (
        "deepseek2",
        {"attention__q_lora_rank": 0, "expert_gating_func": 1, "expert_weights_norm": False,
         "expert_group_count": 1, "expert_group_used_count": 1},
    ),
    "glm4": ("glm4", {}),
    "glm4moe": ("glm4moe", {}),
    "glm4moe without norms of heads": ("glm4moe", {}),
    "gpt-oss": ("gpt-oss", {}),
    "gpt-oss without windows": ("gpt-oss", {"attention__sliding_window": 0, "expert_weights_scale": 0.7}),
    "granite": ("granite", {}),
    "granite that does not rotate": ("granite", {"rope__scaling__finetuned": False}),
    "granitehybrid": ("granitehybrid", {}),
    "granitehybrid, one group, rotated": ("granitehybrid", {"ssm__group_count": 1, "rope__scaling__finetuned": True}),
    "granitehybrid mixture": ("granitehybrid", synthetic_mamba.MIXTURE),
    "granitehybrid mixture, none shared": ("granitehybrid", synthetic_mamba.MIXTURE
                                           | {"expert_shared_feed_forward_length": 0}),
    "lfm2": ("lfm2", {}),
    "lfm2 with windows": ("lfm2", {"attention__sliding_window": 9}),
    "lfm2moe": ("lfm2moe", {}),
    "mistral3": ("mistral3", {}),
    "mistral3 linear": ("mistral3", {"rope__scaling__type": "linear", "attention__temperature_scale": 0.0}),
    "olmo2 with windows": ("olmo2", {}),
    "olmo2 without windows": ("olmo2", {"attention__sliding_window": 0}),
    "phi3": ("phi3", {}),
    "phi3 with windows": ("phi3", {"attention__sliding_window": 9}),
    "smollm3": ("smollm3", {}),
    "qwen2": ("qwen2", {}),
    "qwen2 yarn": ("qwen2", YARN | {"rope__scaling__yarn_beta_fast": 16.0}),
    "qwen2moe untied": ("qwen2moe", {}),
    "qwen3": ("qwen3", {}),
    "qwen3moe": ("qwen3moe", {}),
    "qwen3moe, one expert, scaled": ("qwen3moe", {"expert_used_count": 1, "expert_weights_scale": 0.7}),
    "qwen35": ("qwen35", {}),
    "qwen35, every key its own value": ("qwen35", {"ssm__group_count": 4, "ssm__state_size": 8, "ssm__conv_kernel": 3}),
    "qwen35moe": ("qwen35moe", {}),
    "qwen3next": ("qwen3next", {}),
    "gemma3": ("gemma3", {}),
    "gemma4": ("gemma4", {}),
    "gemma4 mixture": ("gemma4", synthetic_model.GEMMA4_MIXTURE),
    "gemma3 without windows or caps": ("gemma3", {"attention__sliding_window": 0, "final_logit_softcapping": 0.0}),
}  # fmt: skip


def synthetic(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and weights of one of MODELS."""
    architecture, extra = MODELS[name]
    metadata = synthetic_model.metadata_of(architecture, **extra)
    weights = synthetic_model.weights_of(metadata, tied="untied" not in name)
    if "divisors" in name:
        weights["rope_freqs.weight"] = np.linspace(1, 8, 8).astype(np.float32)
    if "by a softmax" in name:
        weights = {own: values for own, values in weights.items() if "exp_probs_b" not in own}
    if "without norms of heads" in name:
        weights = {own: values for own, values in weights.items() if "_q_norm" not in own and "_k_norm" not in own}
    return metadata, weights


def some_ids(count: int, seed: int = 1) -> list[int]:
    return np.random.default_rng(seed).integers(0, synthetic_model.VOCABULARY, count).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_step_equals_reference(tmp_path: Path, name: str) -> None:
    """In float64 throughout, except frequencies in float32 (2**-24 relative, times 40 positions), hence 1e-4."""
    metadata, weights = synthetic(name)
    file = gguf.open(synthetic_model.write(tmp_path / "m.gguf", metadata, weights))
    step = Model.from_gguf(file).step
    ids, positions = some_ids(40), np.arange(40)
    got = Oracle(step, weights).run(ids, positions, 0 * positions, positions)
    expected = Reference(metadata, weights, cache=np.float64).logits(ids)
    assert np.ptp(expected) > 5  # a model with equal logits would prove nothing
    np.testing.assert_allclose(log_softmax(got), log_softmax(expected), rtol=0, atol=1e-4)


# By model: keys, and values that are slightly wrong.
CHANGES: dict[str, dict[str, Any]] = {
    "llama yarn": {"rope.scaling.factor": 4.1},
    "deepseek2": {
        "expert_used_count": 4,
        "expert_weights_scale": 1.501,
        "expert_group_count": 2,
        "expert_group_used_count": 3,
        "nextn_predict_layers": 2,
    },
    "deepseek2 yarn": {"rope.scaling.yarn_log_multiplier": 0.072, "rope.scaling.factor": 4.2},
    "deepseek2 by a softmax, one matrix of queries": {"expert_weights_norm": True, "rope.freq_base": 10100.0},
    "glm4": {"rope.dimension_count": 10},
    "glm4moe": {
        "expert_used_count": 4,
        "expert_weights_scale": 1.501,
        "rope.dimension_count": 10,
        "nextn_predict_layers": 2,
    },
    "gpt-oss": {
        "attention.sliding_window": 9,
        "expert_used_count": 4,
        "rope.scaling.yarn_beta_slow": 1.1,
        "rope.scaling.yarn_beta_fast": 31.0,
        "rope.scaling.original_context_length": 520,
    },
    "granite": {"embedding_scale": 6.1, "residual_scale": 0.23, "logit_scale": 2.01, "attention.scale": 0.31},
    "granitehybrid": {
        "embedding_scale": 6.1,
        "residual_scale": 0.23,
        "logit_scale": 0.51,
        "attention.scale": 0.31,
        "rope.scaling.finetuned": True,
    },
    "granitehybrid mixture": {"expert_used_count": 4},
    "lfm2": {"attention.layer_norm_rms_epsilon": 2e-5, "rope.freq_base": 1.1e6, "attention.sliding_window": 39},
    "lfm2moe": {"expert_used_count": 4, "rope.freq_base": 1.1e6},
    "mistral3": {"attention.temperature_scale": 0.31, "rope.scaling.yarn_log_multiplier": 0.6},
    "olmo2 with windows": {"attention.sliding_window": 9, "rope.scaling.factor": 4.2, "rope.freq_base": 1.1e6},
    "phi3 with windows": {"attention.sliding_window": 10, "rope.freq_base": 10100.0, "rope.scaling.attn_factor": 1.21},
    "qwen2moe untied": {"expert_used_count": 4, "expert_weights_scale": 1.001, "expert_weights_norm": True},
    "qwen3": {"attention.layer_norm_rms_epsilon": 2e-5, "rope.freq_base": 10001.0},
    "qwen3moe": {"expert_used_count": 4, "expert_weights_scale": 1.001},
    "gemma4": {
        "attention.sliding_window": 9,
        "final_logit_softcapping": 3.01,
        "rope.freq_base": 1.1e6,
        "rope.freq_base_swa": 5100.0,
        "rope.dimension_count_swa": 14,
    },
    "gemma4 mixture": {"expert_used_count": 4},
    "qwen35": {"rope.dimension_count": 6, "attention.layer_norm_rms_epsilon": 2e-5},
    "qwen35moe": {"expert_used_count": 4, "expert_weights_scale": 1.001},
    "gemma3": {"attention.sliding_window": 9, "final_logit_softcapping": 3.01, "rope.freq_base": 1.1e6},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_reference_detects_missing_parts(name: str) -> None:
    """Each feature specific to an architecture changes the result by more than the tests above allow."""
    metadata, weights = synthetic(name)
    architecture = metadata["general.architecture"]
    ids = some_ids(40)
    right = Reference(metadata, weights, cache=np.float64).log_probabilities(ids)
    for key, value in CHANGES[name].items():
        changed = Reference(metadata | {f"{architecture}.{key}": value}, weights, cache=np.float64)
        assert np.abs(changed.log_probabilities(ids) - right).max() > 5e-4, key


def test_only_requested_rows_pass_the_last_layer(tmp_path: Path) -> None:
    metadata, weights = synthetic("gemma3")
    file = gguf.open(synthetic_model.write(tmp_path / "m.gguf", metadata, weights))
    step = Model.from_gguf(file).step
    kinds = [op.kind for op in step.ops]
    assert kinds.count("select") == 2
    assert kinds.index("select") > max(i for i, kind in enumerate(kinds) if kind == "attention")
    ids, positions = some_ids(20), np.arange(20)
    # Long double, since NumPy then sums every product in the same order. In float64 it calls BLAS, whose order depends
    # on the number of rows: logits would differ by rounding, which for one near zero is a large part of it.
    all_rows = Oracle(step, weights, np.longdouble).run(ids, positions, 0 * positions, positions)
    some = Oracle(step, weights, np.longdouble).run(ids, positions, 0 * positions, np.array([3, 19]))
    np.testing.assert_array_equal(some, all_rows[[3, 19]])
