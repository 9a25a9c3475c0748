"""Draws of whole clusters (the tokens of a document, the prompts of one), with replacement.

The draws depend on the count of clusters and the seed alone, so statistics of the same clusters share them.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000

Float64 = NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def weights(clusters: int, draws: int = DRAWS, seed: int = 0) -> Float64:
    """How often each cluster is in each draw (draws, clusters); row sums are `clusters`."""
    random = np.random.default_rng(seed)
    return random.multinomial(clusters, np.full(clusters, 1 / clusters), draws).astype(np.float64)


def resampled(w: Float64, sums: Float64) -> Float64:
    """Sums over the clusters of every draw: (draws, clusters) of weights and (clusters, ...) give (draws, ...).

    Without BLAS, whose threads and the engine's would wait for each other much longer than this takes.
    """
    found: Float64 = np.einsum("dc,c...->d...", w, sums)
    return found


def total(values: ArrayLike, clusters: NDArray[np.int64]) -> Float64:
    """Sums of values (n, ...) by cluster, clusters (n,) numbered from 0: (clusters, ...). NaN counts as 0."""
    array = np.nan_to_num(np.asarray(values, np.float64), nan=0.0)
    sums = np.zeros((int(clusters.max()) + 1, *array.shape[1:]))
    np.add.at(sums, clusters, array)
    return sums
