"""Qwen 3 with a mixture of experts in place of every layer's feed-forward."""

from __future__ import annotations

from bitwright.kernels.ops import Buffer, Step
from bitwright.model.config import Config
from bitwright.model.steps import qwen3
from bitwright.model.weights import Weights


def step(c: Config, weights: Weights) -> Step:
    """One step over a batch of tokens: embed, every layer's attention and experts, the head."""
    return qwen3.step(c, weights, experts)


def experts(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """The weighted sum of the feed-forwards that the router chooses for a token."""
    logits = s.linear(h, w("ffn_gate_inp.weight", c.experts, c.width))
    choices = s.route(logits, c.experts_used, c.expert_scale)
    gate = s.experts(h, choices, w("ffn_gate_exps.weight", c.experts, c.expert_feed_forward, c.width))
    up = s.experts(h, choices, w("ffn_up_exps.weight", c.experts, c.expert_feed_forward, c.width))
    down = w("ffn_down_exps.weight", c.experts, c.width, c.expert_feed_forward)
    return s.combine(s.experts(s.glu(gate, up), choices, down), choices)
