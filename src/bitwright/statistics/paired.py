"""Paired tests of binary outcomes."""

from __future__ import annotations

import math


def mcnemar(lost: int, won: int) -> float:
    """McNemar's exact two-sided p value: if two models were equally good, an item that only one of them gets right
    would be either's with probability 1/2 (Psychometrika 12 (1947); the binomial test, not its approximation)."""
    n, least = lost + won, min(lost, won)
    tail = sum(math.comb(n, k) for k in range(least + 1))
    return min(1.0, 2 * tail / (1 << n))
