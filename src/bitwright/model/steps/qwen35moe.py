"""Qwen 3.5 and 3.6 with a mixture of experts in place of every layer's feed-forward, and Qwen3 Next. One more expert
takes every token, and has a gate.
"""

from __future__ import annotations

from bitwright.kernels.ops import Buffer, Step
from bitwright.model.config import Config
from bitwright.model.feed_forward import experts, separate
from bitwright.model.steps import qwen35
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's delta net or attention and its experts, the head."""
    return qwen35.step(c, weights, mixture)


def mixture(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """The experts that the router chooses for a token, and the one that takes all."""
    shared = separate(s, c, w, h, length=c.shared_feed_forward, end="_shexp")
    return s.add(experts(s, c, w, h), s.gate(shared, h, w("ffn_gate_inp_shexp.weight", c.width)))
