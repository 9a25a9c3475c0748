"""Planted problems: choices and a scorer whose pairs of tensors interact in a known way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Choices, Levels

FORMATS = [formats.get(name) for name in ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0")]
SIZES = {"attn_q": 6, "attn_v": 2, "ffn_up": 16, "ffn_down": 16}  # of a tensor, in superblocks


def choices(layers: int, seed: int = 0) -> Choices:
    """Tensors of unequal sizes whose costs fall by about 4 with every bit."""
    random = np.random.default_rng(seed)
    names = [f"blk.{n}.{role}.weight" for n in range(layers) for role in SIZES]
    sizes = np.array([SIZES[name.split(".")[2]] for name in names])
    bits = np.array([f.bits_per_weight for f in FORMATS])
    scale = np.exp(random.normal(-4, 1, (len(names), 1)))
    cost = scale * 4.0 ** (2 - bits) * np.exp(random.normal(0, 0.1, (len(names), len(bits))))
    return Choices(tuple(names), tuple(FORMATS), (sizes[:, None] * 256 * bits / 8).astype(np.int64), cost)


@dataclass
class Planted:
    """A Scorer: the additive cost, plus z' pairs z with z the roots of the costs, times a factor for each role; and a
    share of it that differs from chunk to chunk."""

    choices: Choices
    pairs: NDArray[np.float64]
    factors: dict[str, float] = field(default_factory=dict)
    noise: float = 0.05
    chunks: int = 32
    scored: int = 0

    def true(self, levels: Levels) -> float:
        """The objective without noise."""
        own = self.choices.cost[np.arange(len(levels)), levels]
        z = np.sqrt(own)
        roles = [name.split(".")[2] for name in self.choices.tensors]
        return float(own @ [self.factors.get(role, 1.0) for role in roles] + z @ self.pairs @ z)

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> NDArray[np.float64]:
        """As a Scorer does. What a chunk adds depends on it, and a little on the candidate."""
        self.scored += len(candidates) * len(chunks)
        result = np.empty((len(candidates), len(chunks)))
        for row, levels in enumerate(candidates):
            true = self.true(levels)
            for column, chunk in enumerate(chunks):
                common = np.random.default_rng(chunk).normal()
                own = np.random.default_rng([chunk, *levels]).normal()
                result[row, column] = true * (1 + 0.3 * common + self.noise * own)
        return result


def interactions(choices: Choices, seed: int = 1, strength: float = 1.0) -> NDArray[np.float64]:
    """Every tensor has one partner, with which its errors add up or cancel."""
    random = np.random.default_rng(seed)
    count = len(choices.tensors)
    partners = random.permutation(count).reshape(-1, 2)
    pairs = np.zeros((count, count))
    pairs[partners[:, 0], partners[:, 1]] = strength * random.choice([-0.9, 1.5], len(partners))
    return pairs


def optimum(problem: Planted, budget: int) -> Levels:
    """The best candidate of a problem whose tensors interact in pairs: an allocation of formats to pairs."""
    own, levels = problem.choices, len(problem.choices.formats)
    pairs = np.argwhere(problem.pairs != 0)
    bytes = (own.bytes[pairs[:, 0], :, None] + own.bytes[pairs[:, 1], None, :]).reshape(len(pairs), -1)
    strength = problem.pairs[pairs[:, 0], pairs[:, 1], None, None]
    roots = np.sqrt(own.cost)
    cost = own.cost[pairs[:, 0], :, None] + own.cost[pairs[:, 1], None, :]
    cost = cost + strength * roots[pairs[:, 0], :, None] * roots[pairs[:, 1], None, :]
    both = Choices(tuple(map(str, pairs)), own.formats * levels, bytes, cost.reshape(len(pairs), -1))
    found = np.zeros(len(own.tensors), int)
    for pair, level in zip(pairs, allocate(both, budget), strict=True):
        found[pair] = divmod(level, levels)
    return tuple(found.tolist())
