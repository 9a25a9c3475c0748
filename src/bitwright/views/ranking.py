"""What a comparison of models says, in sentences that its intervals support."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bitwright.measure.comparison import DIVERGENCE, Comparison, Pair
from bitwright.statistics.interval import FEWEST


def ranking(c: Comparison) -> list[str]:
    """Which of the models are better, cannot be told apart, or are worth their bytes and their time."""
    names = [contender.identity.name for contender in c.contenders]
    found = [_between_neighbours(c.pair(a, b), c.measure) for a, b in itertools.pairwise(names)]
    if len(names) > 1:
        found.append(f"Worth their bytes (no other is smaller and better by {c.measure}): {_list(c.front_of_bytes)}.")
        found += [_why_not(c, name) for name in names if name not in c.front_of_bytes]
        found.append(f"Worth their time (no other decodes faster and is better): {_list(c.front_of_speed)}.")
    if any(p.difference.clusters < FEWEST for p in c.pairs):
        found.append(f"The text has fewer than {FEWEST} documents: too few for an interval.")
    return found


def _between_neighbours(p: Pair, measure: str) -> str:
    d, unit = p.difference, " nats" if measure == DIVERGENCE else ""
    span = f"{-d.estimate:.5f}{unit}" + (f" ({-d.ends[1]:.5f} to {-d.ends[0]:.5f})" if d.ends else ", no interval")
    if p.verdict == "better":
        return f"{p.first} is better than {p.second} by {span}."
    return f"{p.first} and {p.second} cannot be told apart: they differ by {span}."


def _why_not(c: Comparison, name: str) -> str:
    """Why a model is not worth its bytes: the best smaller model."""
    sizes = {x.identity.name: x.identity.file_bytes for x in c.contenders}
    by = next(x.identity.name for x in c.contenders if x.identity.name in c.front_of_bytes and sizes[x.identity.name]
              <= sizes[name])  # fmt: skip
    sure = c.pair(by, name).verdict == "better"
    return f"{name} is larger than {by} and {'worse' if sure else 'cannot be told apart from it'}."


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
