"""Choosing the next token, in llama.cpp's order and meaning: top-k, top-p, min-p, then temperature, then the draw.

Top-p and min-p use the probabilities before temperature changes them (llama.cpp, common/sampling.cpp and
src/llama-sampler.cpp). The draw itself is Python's, so a seed repeats a text in bitwright, but not llama.cpp's. NumPy
would import seven more modules for it.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UsageError


class Sampler:
    """Draws token ids from logits. Temperature 0 takes the likeliest; without a seed, one is drawn and kept as `seed`.

    `top_k`: only the k likeliest (0: all). `top_p`: only the likeliest that together have at least this probability
    (1: all). `min_p`: only those at least this share as likely as the likeliest (0: all).
    """

    def __init__(
        self,
        temperature: float = 0.8,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        seed: int | None = None,
    ) -> None:
        _check("temperature", temperature, 0, np.inf)
        _check("top_k", top_k, 0, np.inf)
        _check("top_p", top_p, 0, 1)
        _check("min_p", min_p, 0, 1)
        self.temperature, self.top_k, self.top_p, self.min_p = temperature, top_k, top_p, min_p
        self.seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        _check("seed", self.seed, 0, np.inf)
        self._random = random.Random(self.seed)

    def __repr__(self) -> str:
        options = ("temperature", "top_k", "top_p", "min_p", "seed")
        return f"<Sampler {', '.join(f'{name} {getattr(self, name)}' for name in options)}>"

    def __call__(self, logits: NDArray[np.float32]) -> int:
        """The next token, from logits (vocabulary,). BitwrightError if they are not finite."""
        likeliest = int(np.argmax(logits))
        if not np.isfinite(logits[likeliest]):
            raise BitwrightError(f"the model computed {logits[likeliest]} as a logit: its weights are damaged")
        if self.temperature == 0:
            return likeliest
        ids, probabilities = self.candidates(logits)
        return int(ids[np.searchsorted(np.cumsum(probabilities)[:-1], self._random.random(), side="right")])

    def candidates(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The ids that may be drawn, likeliest first, and their probabilities; temperature must be above 0."""
        ids = _largest(logits, self.top_k)
        kept = logits[ids].astype(np.float64)
        probabilities = _softmax(kept)
        if self.top_p < 1:
            enough = int(np.searchsorted(np.cumsum(probabilities), self.top_p)) + 1
            probabilities = probabilities[:enough]
        count = int(np.count_nonzero(probabilities >= self.min_p * probabilities[0]))
        return ids[:count], _softmax(kept[:count] / self.temperature)


def _largest(logits: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The ids of the `count` largest (0: all) in descending order, ties by id."""
    if 0 < count < len(logits):
        smallest_kept = np.partition(logits, -count)[-count]
        ids = np.flatnonzero(logits >= smallest_kept)
    else:
        ids, count = np.arange(len(logits)), len(logits)
    return ids[np.argsort(-logits[ids], kind="stable")][:count]


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x[0])  # x is in descending order
    shares: NDArray[np.float64] = e / e.sum()
    return shares


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        span = f"{low} to {high}" if high < np.inf else f"{low} or more"
        raise UsageError(f"{name} must be {span}, got {value}")
