"""Scales fitted to values: try a few near the obvious one, solve for the best scale given the rounded codes, and keep
the best of all.

Written from the description of ggml's make_qkx2_quants and make_qx_quants:
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c
Arrays are (..., n): the last axis is the group that shares a scale; results are (...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bitwright.formats.format import Floats
from bitwright.formats.rounding import inverse

WIDE = np.linspace(-0.9, 0.9, 37, dtype=np.float32)  # how far llama.cpp stretches the grid when importance is known


def symmetric(x: Floats, weights: Floats, grid: Callable[[Floats], Floats], inverse_scales: Iterable[Floats]) -> Floats:
    """The scale s (...) of least sum(weights * (x - s * grid(x / s))^2) among those that the trials lead to.

    For codes q the best scale is sum(wxq) / sum(wqq), which lowers the error by sum(wxq)^2 / sum(wqq); the trial that
    lowers it most wins. The first trial stands if sums overflow or vanish.
    """
    trials = list(inverse_scales)
    scale, best = inverse(trials[0]), np.zeros(x.shape[:-1], np.float32)
    weighted = weights * x
    for trial in trials:
        q = grid(x * trial[..., None])
        xq, qq = (weighted * q).sum(-1), (weights * q * q).sum(-1)
        gain = xq * xq * inverse(qq)
        better = gain > best
        scale, best = np.where(better, xq * inverse(qq), scale), np.where(better, gain, best)
    return scale


def asymmetric(
    x: Floats, weights: Floats, top: int, shifts: Floats, absolute: bool = False, ceiling: float = 0
) -> tuple[Floats, Floats]:
    """Scale and min (at most `ceiling`) for codes 0..top, of least sum(weights * error^2), or |error| when `absolute`.

    Each trial stretches the grid by one of `shifts` codes, from the best min so far, and solves the least-squares
    problem of scale and min for its codes.
    """
    high = x.max(-1)
    minimum = np.minimum(x.min(-1), np.float32(ceiling))
    scale = (high - minimum) / np.float32(top)
    w, wx = weights.sum(-1), (weights * x).sum(-1)

    def error(scale: Floats, minimum: Floats, q: Floats) -> Floats:
        difference = np.abs(scale[..., None] * q + minimum[..., None] - x)
        weighted: Floats = weights * (difference if absolute else difference * difference)
        return np.asarray(weighted.sum(-1))

    def codes(shift: float) -> Floats:
        stretch = np.float32(top + shift) * inverse(high - minimum)
        rounded: Floats = np.rint((x - minimum[..., None]) * stretch[..., None])
        return rounded.clip(0, top)

    least = error(scale, minimum, codes(0))
    for shift in shifts:
        q = codes(shift)
        wq, wqq, wxq = (weights * q).sum(-1), (weights * q * q).sum(-1), (weights * q * x).sum(-1)
        determinant = inverse(w * wqq - wq * wq)
        trial_scale, trial_min = (w * wxq - wx * wq) * determinant, (wqq * wx - wq * wxq) * determinant
        above = trial_min > ceiling
        trial_scale, trial_min = np.where(above, wxq * inverse(wqq), trial_scale), np.where(above, 0, trial_min)
        trial = error(trial_scale, trial_min, q)
        better = (trial < least) & (trial_scale > 0)
        scale, minimum = np.where(better, trial_scale, scale), np.where(better, trial_min, minimum)
        least = np.where(better, trial, least)
    return scale, minimum


def importance_weights(values: Floats, importance: Floats) -> Floats:
    """Weights of squared errors (blocks, block_size) from the importance of columns, by llama.cpp's rule: errors of
    large values count somewhat more."""
    variance = 2 * (values * values).mean(axis=1, keepdims=True)
    root: Floats = np.sqrt(variance + values * values)
    return importance * root
