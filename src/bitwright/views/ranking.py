"""What a comparison of models says, in sentences that its intervals support."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bitwright.measure.comparison import DIVERGENCE, Comparison, Pair
from bitwright.statistics.interval import FEWEST, TOO_LITTLE
from bitwright.views.headline import headline as of_one


def headline(c: Comparison) -> str:
    """Which model is best, in one sentence, as far as the intervals say so."""
    best, *others = (contender.identity.name for contender in c.contenders)
    if not others:
        alone = c.contenders[0].evaluation
        return f"{best}: {of_one(alone) if alone else 'nothing to compare it with'}"
    verdicts = {name: c.pair(best, name).verdict for name in others}
    if TOO_LITTLE in verdicts.values():
        d = c.pairs[0].difference
        return f"too little text to say which is better: {d.clusters} {d.of}, an interval needs {FEWEST}"
    alike = [name for name, found in verdicts.items() if found != "better"]
    if alike:
        return f"{_list([best, *alike])} cannot be told apart on this text"
    lost = c.contenders[0].evaluation
    return f"{best} is the best of {1 + len(others)} on this text{f': {of_one(lost)}' if lost else ''}"


def ranking(c: Comparison) -> list[str]:
    """Which of the models are better, cannot be told apart, or are worth their bytes and their time."""
    names = [contender.identity.name for contender in c.contenders]
    found = [_between_neighbours(c.pair(a, b), c.measure) for a, b in itertools.pairwise(names)]
    if len(names) > 1:
        found.append(f"Worth their bytes (no other is smaller and better by {c.measure}): {_list(c.front_of_bytes)}.")
        found += [_why_not(c, name) for name in names if name not in c.front_of_bytes]
        found.append(f"Worth their time (no other decodes faster and is better): {_list(c.front_of_speed)}.")
    return found


def _between_neighbours(p: Pair, measure: str) -> str:
    d, unit = p.difference, " nats" if measure == DIVERGENCE else ""
    span = f"{-d.estimate:.5f}{unit}" + (f" ({-d.ends[1]:.5f} to {-d.ends[0]:.5f})" if d.ends else ", no interval")
    if p.verdict == "better":
        return f"{p.first} is better than {p.second} by {span}."
    if p.verdict == TOO_LITTLE:
        return f"Too little text to say whether {p.first} is better than {p.second}: they differ by {span}."
    return f"{p.first} and {p.second} cannot be told apart: they differ by {span}."


def _why_not(c: Comparison, name: str) -> str:
    """Why a model is not worth its bytes: the best smaller model."""
    sizes = {x.identity.name: x.identity.file_bytes for x in c.contenders}
    by = next(x.identity.name for x in c.contenders if x.identity.name in c.front_of_bytes and sizes[x.identity.name]
              <= sizes[name])  # fmt: skip
    verdict = c.pair(by, name).verdict
    than = {"better": "worse", TOO_LITTLE: "no better in these figures"}.get(verdict, "cannot be told apart from it")
    return f"{name} is larger than {by} and {than}."


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
