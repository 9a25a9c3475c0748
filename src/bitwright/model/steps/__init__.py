"""The steps that the engine runs: one readable file per architecture, whose `step(config, weights)` records ops."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright.kernels.ops import Step
    from bitwright.model.config import Config
    from bitwright.model.weights import Weights

ARCHITECTURES = {  # GGUF's name -> file here
    "deepseek2": "deepseek2",
    "gemma3": "gemma3",
    "gemma4": "gemma4",
    "glm4": "glm4",
    "glm4moe": "glm4moe",
    "gpt-oss": "gptoss",
    "granite": "llama",
    "granitehybrid": "granitehybrid",
    "lfm2": "lfm2",
    "lfm2moe": "lfm2",
    "llama": "llama",
    "mistral3": "llama",
    "olmo2": "olmo2",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen2moe": "qwen2moe",
    "qwen3": "qwen3",
    "qwen35": "qwen35",
    "qwen35moe": "qwen35moe",
    "qwen3next": "qwen35moe",
    "qwen3moe": "qwen3moe",
    "smollm3": "llama",
}
# Those of them whose layers have experts.
MIXTURES = {"deepseek2", "glm4moe", "gpt-oss", "lfm2moe", "qwen2moe", "qwen3moe", "qwen35moe", "qwen3next"}
EITHER = {"granitehybrid"}  # those of them whose layers may have experts
DELTA_NETS = {"qwen35", "qwen35moe", "qwen3next"}
HYBRIDS = DELTA_NETS | {"granitehybrid"}  # those of them with layers that keep a state instead of keys and values
CONVOLVING = {"lfm2", "lfm2moe"}  # those of them with layers that keep the last tokens, for a convolution
PREDICTING = DELTA_NETS | {"deepseek2", "glm4moe"}  # those whose files may have layers that predict further tokens
LATENT = {"deepseek2"}  # those of them whose layers attend to latent vectors
UNEVEN = {"gemma4"}  # whose layers may differ in heads, share keys and values, and have experts


def build(config: Config, weights: Weights) -> Step:
    """The step of a configuration, with every tensor's shape checked.

    Raises FileFormatError naming a tensor that is missing or has another shape, BitwrightError for one left over.
    """
    module = importlib.import_module(f"bitwright.model.steps.{ARCHITECTURES[config.architecture]}")
    step: Step = module.step(config, weights)
    weights.check_all_used(config.architecture)
    return step
