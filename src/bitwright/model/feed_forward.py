"""The feed-forwards that several families share, of a layer's weights and its normed input."""

from __future__ import annotations

from bitwright.kernels.ops import Buffer, Step
from bitwright.kernels.ops.elementwise import Activation
from bitwright.model.config import Config
from bitwright.model.weights import Weights


def separate(s: Step, c: Config, w: Weights, h: Buffer, activation: Activation = "silu") -> Buffer:
    """With a matrix each for gate and up."""
    gate = s.linear(h, w("ffn_gate.weight", c.feed_forward, c.width))
    up = s.linear(h, w("ffn_up.weight", c.feed_forward, c.width))
    return s.linear(s.glu(gate, up, activation), w("ffn_down.weight", c.width, c.feed_forward))


def fused(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """With one matrix for gate and up."""
    both = s.linear(h, w("ffn_up.weight", 2 * c.feed_forward, c.width))
    h = s.glu(s.columns(both, 0, c.feed_forward), s.columns(both, c.feed_forward, c.feed_forward))
    return s.linear(h, w("ffn_down.weight", c.width, c.feed_forward))
