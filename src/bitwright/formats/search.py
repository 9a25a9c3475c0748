"""Scale searches: try a few scales near the obvious one, solve for the best scale given the rounded codes, keep the best.

Written from the description of ggml's make_qkx2_quants and make_qx_quants:
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c
Arrays are (..., n): the last axis is the group that shares a scale; results are (...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bitwright.formats.format import Floats
from bitwright.formats.rounding import inverse


def symmetric(x: Floats, weights: Floats, grid: Callable[[Floats], Floats], inverse_scales: Iterable[Floats]) -> Floats:
    """The scale s least in sum(weights * (x - s * grid(x / s))^2), of those reached from the inverse scales to try.

    For codes q the best scale is sum(wxq) / sum(wqq), and the error falls by sum(wxq)^2 / sum(wqq): that is maximized.
    """
    scale = best = np.zeros(x.shape[:-1], np.float32)
    weighted = weights * x
    for trial in inverse_scales:
        q = grid(x * trial[..., None])
        xq, qq = (weighted * q).sum(-1), (weights * q * q).sum(-1)
        gain = xq * xq * inverse(qq)
        better = gain > best
        scale, best = np.where(better, xq * inverse(qq), scale), np.where(better, gain, best)
    return scale


def asymmetric(x: Floats, weights: Floats, top: int, shifts: Floats, absolute: bool = False) -> tuple[Floats, Floats]:
    """Scale and min (at most 0) for codes 0..top, least in sum(weights * |error|^2), or |error| when `absolute`.

    The trials stretch the grid by `shifts` codes; for each, scale and min solve the least-squares problem of its codes.
    """
    low = np.minimum(x.min(-1), 0)
    span = x.max(-1) - low
    scale, minimum = span / np.float32(top), low
    best = np.full(span.shape, np.inf, np.float32)
    w, wx = weights.sum(-1), (weights * x).sum(-1)
    for shift in (None, *shifts):
        q = np.rint((x - low[..., None]) * (np.float32(top + (shift or 0)) * inverse(span))[..., None]).clip(0, top)
        trial_scale, trial_min = scale, minimum
        if shift is not None:
            wq, wqq, wxq = (weights * q).sum(-1), (weights * q * q).sum(-1), (weights * q * x).sum(-1)
            determinant = inverse(w * wqq - wq * wq)
            trial_scale, trial_min = (w * wxq - wx * wq) * determinant, (wqq * wx - wq * wxq) * determinant
            above = trial_min > 0
            trial_scale, trial_min = np.where(above, wxq * inverse(wqq), trial_scale), np.where(above, 0, trial_min)
        error = trial_scale[..., None] * q + trial_min[..., None] - x
        error = (weights * (np.abs(error) if absolute else error * error)).sum(-1)
        better = (error < best) & (trial_scale > 0)
        scale, minimum = np.where(better, trial_scale, scale), np.where(better, trial_min, minimum)
        best = np.where(better, error, best)
    return scale, minimum


def importance_weights(x: Floats, importance: Floats, variance: Floats) -> Floats:
    """Weights of squared errors from the importance of columns: larger weights count somewhat more (llama.cpp's rule)."""
    return importance * np.sqrt(variance + x * x)
