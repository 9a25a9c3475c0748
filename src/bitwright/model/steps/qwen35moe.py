"""Qwen 3.5 and 3.6 with a mixture of experts in place of every layer's feed-forward, and Qwen3 Next. One more expert
takes every token, and has a gate.
"""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model.config import Config
from bitwright.model.feed_forward import experts_and_gated
from bitwright.model.steps import qwen35
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's delta net or attention and its experts, the head."""
    return qwen35.step(c, weights, experts_and_gated)
