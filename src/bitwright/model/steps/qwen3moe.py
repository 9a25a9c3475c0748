"""Qwen 3 with a mixture of experts in place of every layer's feed-forward."""

from __future__ import annotations

from bitwright.kernels.ops import Step
from bitwright.model import feed_forward
from bitwright.model.config import Config
from bitwright.model.steps import qwen3
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and experts, the head."""
    return qwen3.step(c, weights, feed_forward.experts)
