"""Labels drawn from the model's own prediction, and the gradient of their log-likelihood."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sampled(seed: int, number: int, tokens: int) -> Callable[[slice, Array], Array]:
    """For `Tape.gradients`: the gradient for one label at each of `tokens` positions of chunk `number`."""
    return partial(of_labels, np.random.default_rng([seed, number]).random(tokens, np.float32))


def of_labels(draws: Array, rows: slice, logits: Array) -> Array:
    """The gradient (rows, vocabulary) of the log-probability of the labels chosen by `draws`, uniform in [0, 1)."""
    p: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(p, axis=1)
    labels = (cumulative < (draws[rows] * cumulative[:, -1])[:, None]).sum(axis=1)
    np.negative(p, out=p)
    p[np.arange(len(p)), labels] += 1
    return p
