"""The gated short convolution of the reference forward, which see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reference_forward import Reference


def convolution(r: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """LFM2's (Liquid AI 2025), token by token: a gate, the sum of the last few tokens of each channel, another gate."""
    taps, kernel = r.get("shortconv.l_cache"), r.weight(f"blk.{layer}.shortconv.conv.weight")
    before, after, x = np.split(r.linear(x, f"blk.{layer}.shortconv.in_proj"), 3, axis=1)
    gated = r.rounded(before * x)
    padded = np.vstack([np.zeros((taps - 1, x.shape[1])), gated])
    sums = [r.product(padded[t : t + taps].T[:, None], kernel[:, :, None])[:, 0, 0] for t in range(len(x))]
    return r.linear(r.rounded(after * np.array(sums)), f"blk.{layer}.shortconv.out_proj")
