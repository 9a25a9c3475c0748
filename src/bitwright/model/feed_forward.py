"""The feed-forwards that several families share, of a layer's weights and its normed input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bitwright.kernels.ops import Buffer, Step
from bitwright.kernels.ops.elementwise import Activation
from bitwright.model.config import Config
from bitwright.model.weights import Weights

FeedForward: TypeAlias = Callable[[Step, Config, Weights, Buffer], Buffer]  # of a layer's weights and normed input


def separate(
    s: Step,
    c: Config,
    w: Weights,
    h: Buffer,
    activation: Activation = "silu",
    length: int | None = None,
    end: str = "",
) -> Buffer:
    """With a matrix each for gate and up; `length` where layers differ. end: of their names."""
    length = length or c.feed_forward
    gate = s.linear(h, w(f"ffn_gate{end}.weight", length, c.width))
    up = s.linear(h, w(f"ffn_up{end}.weight", length, c.width))
    return s.linear(s.glu(gate, up, activation), w(f"ffn_down{end}.weight", c.width, length))


def fused(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """With one matrix for gate and up."""
    both = s.linear(h, w("ffn_up.weight", 2 * c.feed_forward, c.width))
    h = s.glu(s.columns(both, 0, c.feed_forward), s.columns(both, c.feed_forward, c.feed_forward))
    return s.linear(h, w("ffn_down.weight", c.width, c.feed_forward))


def experts(s: Step, c: Config, w: Weights, h: Buffer, activation: Activation = "silu") -> Buffer:
    """The weighted sum of those that the router chooses for a token."""
    logits = s.linear(h, *w.linear("ffn_gate_inp", c.experts, c.width))
    bias = w.optional("exp_probs_b.bias", c.experts) if c.expert_scoring == "sigmoid" else None
    groups = c.expert_groups, c.expert_groups_used
    choices = s.route(logits, c.experts_used, c.expert_scale, c.expert_scoring, bias, *groups)
    gate = s.experts(h, choices, *w.linear("ffn_gate_exps", c.experts, c.expert_feed_forward, c.width))
    up = s.experts(h, choices, *w.linear("ffn_up_exps", c.experts, c.expert_feed_forward, c.width))
    down = w.linear("ffn_down_exps", c.experts, c.width, c.expert_feed_forward)
    return s.combine(s.experts(s.glu(gate, up, activation), choices, *down), choices)


def experts_and_shared(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """The same, and one that takes every token."""
    return s.add(experts(s, c, w, h), separate(s, c, w, h, length=c.shared_feed_forward, end="_shexp"))


def experts_and_gated(s: Step, c: Config, w: Weights, h: Buffer) -> Buffer:
    """The same, and the one that takes every token has a gate."""
    shared = separate(s, c, w, h, length=c.shared_feed_forward, end="_shexp")
    return s.add(experts(s, c, w, h), s.gate(shared, h, w("ffn_gate_inp_shexp.weight", c.width)))
