"""How a mixture's experts are chosen, read from GGUF metadata."""

from __future__ import annotations

from bitwright.io.values import Values
from bitwright.kernels.ops.route import Scoring
from bitwright.model.architectures.architecture import Architecture

SHARED_COUNT = {"deepseek2", "glm4moe"}  # mixtures with so many experts' lengths for every token
DENSE_FIRST = SHARED_COUNT | {"lfm2moe"}  # mixtures after dense layers
SIGMOID, SOFTMAX = 2, 1  # expert_gating_func
UNNORMALIZED = {"qwen2moe"}  # mixtures whose weights are shares of all experts'
USUAL_GATING = {"glm4moe": SIGMOID, "lfm2moe": SIGMOID}  # others: softmax
GLM_FLASH = (47, 154880)  # its layers and tokens, by which llama.cpp knows that its experts are scored by sigmoids


def scoring(values: Values, shape: Architecture) -> Scoring:
    """How experts are scored, and whether their weights are normalized."""
    if values.prefix in UNNORMALIZED:
        return "share"
    if values.prefix not in SHARED_COUNT:
        return "sigmoid" if USUAL_GATING.get(values.prefix) == SIGMOID else "softmax"
    layers = sum(layer.kind != "prediction" for layer in shape.layers)
    usual = SIGMOID if (layers, shape.vocabulary) == GLM_FLASH else USUAL_GATING.get(values.prefix, SOFTMAX)
    by_sigmoid = values.integer("expert_gating_func", usual, SOFTMAX, SIGMOID) == SIGMOID
    if values.flag("expert_weights_norm", False):  # llama.cpp's default
        return "sigmoid" if by_sigmoid else "softmax"
    if by_sigmoid:
        raise values.error("expert_weights_norm", "true")
    return "share"


def groups_of(values: Values, shape: Architecture) -> tuple[int, int]:
    """How many groups of experts there are, and of how many a token uses experts."""
    groups, used = (values.integer(f"expert_group_{of}", 0) or 1 for of in ("count", "used_count"))
    if shape.experts % groups:
        raise values.error("expert_group_count", f"a divisor of {shape.experts} experts")
    if not shape.experts_used <= shape.experts // groups * used <= shape.experts:
        raise values.error("expert_group_used_count", f"groups with {shape.experts_used} experts, at most {groups}")
    return groups, used
