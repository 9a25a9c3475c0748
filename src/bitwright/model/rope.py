"""Rotary position embedding: the frequency of every pair of values, and the scalings that stretch a model's context.

A pair i of a head is turned by position * inverse_frequencies[i]. Plain: base**(-2i / dim) (Su et al., RoFormer,
https://arxiv.org/abs/2104.09864). Linear scaling divides all frequencies by a factor. Llama 3 and friends store one
divisor a pair in the file (`rope_freqs.weight`). YaRN (Peng et al., https://arxiv.org/abs/2309.00071) divides only the
slow pairs, those that turn fewer than `beta_slow` times within the original context, and leaves the fast ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SCALINGS = ("none", "linear", "yarn")


@dataclass(frozen=True, slots=True)
class Rope:
    """The rotation of a kind of layer: `dim` values of a head are turned; `factor` is how far the context stretches."""

    base: float
    dim: int
    scaling: str = "none"
    factor: float = 1.0
    original_context: int = 0
    attention_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0

    def inverse_frequencies(self, divisors: np.ndarray | None = None) -> np.ndarray:
        """(dim / 2,) float64 radians a position; `divisors` (dim / 2,) are the file's own, one a pair."""
        plain = self.base ** (-2 * np.arange(self.dim // 2) / self.dim)
        if divisors is not None:
            plain = plain / np.asarray(divisors, np.float64)
        if self.scaling == "none":
            return plain
        if self.scaling == "linear":
            return plain / self.factor
        keep = self._share_kept()
        return plain * keep + plain / self.factor * (1 - keep)

    @property
    def magnitude(self) -> float:
        """What rotated queries and keys are multiplied by: YaRN sharpens attention by (0.1 ln factor + 1) a side."""
        sharper = 0.1 * math.log(self.factor) + 1 if self.scaling == "yarn" and self.factor > 1 else 1.0
        return sharper * self.attention_factor

    def _share_kept(self) -> np.ndarray:
        """(dim / 2,): 1 for pairs that keep their frequency, 0 for those that are divided, a ramp between."""
        low = max(math.floor(self._pair_turning(self.beta_fast)), 0)
        high = min(math.ceil(self._pair_turning(self.beta_slow)), self.dim - 1)
        ramp = (np.arange(self.dim // 2) - low) / max(high - low, 0.001)
        return 1 - np.clip(ramp, 0, 1)

    def _pair_turning(self, turns: float) -> float:
        """The (fractional) pair that turns `turns` times within the original context."""
        return self.dim * math.log(self.original_context / (turns * 2 * math.pi)) / (2 * math.log(self.base))
