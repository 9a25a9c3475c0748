"""Rotary position embedding: the frequency of every pair of values, and the scalings that stretch a model's context.

Pair i of a head is turned by position * inverse_frequencies[i]. Plain: base**(-2i / dim) (Su et al., RoFormer,
https://arxiv.org/abs/2104.09864). Linear scaling divides all frequencies by a factor. Llama 3 and its relatives store
one divisor per pair in the file (`rope_freqs.weight`). YaRN (Peng et al., https://arxiv.org/abs/2309.00071) divides
only slow pairs, those that turn fewer than `beta_slow` times within the original context, and leaves the fast ones; the
ramp in between begins and ends at whole pairs, unless `whole_pairs` is false.
LongRoPE (Ding et al., https://arxiv.org/abs/2402.13753) has a searched divisor for each pair, in the file too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCALINGS = ("none", "linear", "yarn")


@dataclass(frozen=True, slots=True)
class Rope:
    """The rotation of a kind of layer: `dim` values of a head are turned. factor: how far the context is stretched."""

    base: float
    dim: int
    scaling: str = "none"
    factor: float = 1.0
    original_context: int = 0
    attention_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    log_multiplier: float = 0.0
    whole_pairs: bool = True

    def inverse_frequencies(self, divisors: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """(dim / 2,) float64 radians per position. divisors (dim / 2,): the file's, one per pair."""
        plain: NDArray[np.float64] = self.base ** (-2 * np.arange(self.dim // 2) / self.dim)
        if divisors is not None:
            plain = plain / np.asarray(divisors, np.float64)
        if self.scaling == "none":
            return plain
        if self.scaling in ("linear", "longrope"):
            return plain / self.factor
        keep = self._share_kept()
        return plain * keep + plain / self.factor * (1 - keep)

    @property
    def magnitude(self) -> float:
        """The factor on rotated queries and keys: YaRN multiplies each by 0.1 ln(factor) + 1, and DeepSeek's variant
        divides that by 0.1 log_multiplier ln(factor) + 1."""
        if self.scaling != "yarn" or self.factor <= 1:
            return self.attention_factor
        stretched = 0.1 * math.log(self.factor)
        return (stretched + 1) / (self.log_multiplier * stretched + 1) * self.attention_factor

    def _share_kept(self) -> NDArray[np.float64]:
        """(dim / 2,): 1 for pairs that keep their frequency, 0 for divided ones, a ramp in between."""
        low, high = self._pair_turning(self.beta_fast), self._pair_turning(self.beta_slow)
        if self.whole_pairs:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, self.dim - 1)
        ramp = (np.arange(self.dim // 2) - low) / max(high - low, 0.001)
        kept: NDArray[np.float64] = 1 - np.clip(ramp, 0, 1)
        return kept

    def _pair_turning(self, turns: float) -> float:
        """The (fractional) pair that turns `turns` times within the original context."""
        return self.dim * math.log(self.original_context / (turns * 2 * math.pi)) / (2 * math.log(self.base))


def llama3_divisors(
    base: float, dim: int, factor: float, low: float, high: float, original_context: int
) -> NDArray[np.float64]:
    """(dim / 2,): the divisor of each pair's frequency as Llama 3.1 stretches its context. Pairs that turn fewer than
    `low` times within the original context are slowed by `factor`, those that turn more than `high` times are not, and
    others lie in between.

    Source: Meta's apply_scaling, https://github.com/meta-llama/llama-models/blob/main/models/llama3/model.py
    """
    turns = original_context * base ** (-2 * np.arange(dim // 2) / dim) / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - share) / factor + share)
