"""The last word on a candidate: a paired test on chunks of the search text that no race reads.

A race picks the best of many candidates on its chunks, so its winner looks better there than it is, also if nothing is
better than the incumbent. On chunks that had no part in the choice, the difference is free of that, and a test means
what it says. A search asks several times. Its n-th test has the level `rate` / n(n+1), which add up to `rate`.

What this promises: if no candidate is better than the start, a search ends at the start with a probability of at least
1 - `rate`. Until a candidate is accepted, what is proposed depends on the races alone, and on nothing that was measured
here, so Bonferroni's inequality holds for whatever is tested. It is promised for differences per chunk as `race` says.
Surrogates must not learn from these chunks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright.statistics import student

FEWEST = 4  # chunks with which a test can succeed


def level(rate: float, test: int) -> float:
    """The level of a search's n-th test, from 1."""
    return rate / (test * (test + 1))


def passed(gains: NDArray[np.float64], rate: float, test: int) -> bool:
    """Whether a candidate is better by these gains over the incumbent (chunks,), in a search's n-th test."""
    return student.mean_above(gains) < level(rate, test)
