"""What a comparison of models says, in sentences that its intervals support."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

from bitwright.measure.comparison import DIVERGENCE, Comparison, Pair
from bitwright.statistics.interval import FEWEST, TOO_LITTLE
from bitwright.views.headline import headline as of_one
from bitwright.views.numbers import fixed, nats

OPPOSITE = {"better": "worse", "worse": "better"}


def headline(c: Comparison) -> str:
    """Which model is best, in one sentence, as far as the intervals say so."""
    if not c.candidates:
        return "Only the reference was given: there is nothing to compare"
    best, *others = (contender.identity.name for contender in c.candidates)
    evaluation = c.candidates[0].evaluation if c.measure == DIVERGENCE else None  # another model is not damaged
    if not others:
        return f"{best}: {of_one(evaluation) if evaluation else _against_reference(c, best)}"
    pairs = [c.pair(best, name) for name in others]
    if any(p.verdict == TOO_LITTLE for p in pairs):
        d = pairs[0].difference
        return f"Too little text to say which is better: {d.clusters} {d.of}, an interval needs {FEWEST}"
    alike = [p.second for p in pairs if p.verdict != "better"]
    if alike:
        return f"{_list([best, *alike])} cannot be told apart on this text"
    return f"{best} is the best of {1 + len(others)}{f', {of_one(evaluation)}' if evaluation else ' on this text'}"


def ranking(c: Comparison) -> list[str]:
    """Which of the models are better, cannot be told apart, or are worth their bytes and their time."""
    ranked = c.candidates if c.measure == DIVERGENCE else c.contenders  # nothing is nearer the reference than itself
    names = [contender.identity.name for contender in ranked]
    found = [_between_neighbours(c.pair(a, b), c.measure) for a, b in itertools.pairwise(names)]
    if len(c.contenders) > 1:
        better = f"has less {c.measure}" if c.measure == DIVERGENCE else f"needs fewer {c.measure}"
        found.append(f"Worth their bytes (no other is smaller and {better}): {_named(c, c.front_of_bytes)}.")
        found += [_why_not(c, name) for name in names if name not in c.front_of_bytes]
        found.append(f"Worth their time (no other decodes as fast and {better}): {_named(c, c.front_of_speed)}.")
    return found


def _against_reference(c: Comparison, name: str) -> str:
    """How a model that has no divergence from the reference compares with it."""
    reference = next(x.identity.name for x in c.contenders if x.is_reference)
    p = next(p for p in c.pairs if {p.first, p.second} == {name, reference})
    if p.verdict == TOO_LITTLE:
        return "too little text to say whether it is better than the reference"
    if p.verdict == "cannot tell":
        return "cannot be told apart from the reference"
    return f"{p.verdict if p.first == name else OPPOSITE[p.verdict]} than the reference"


def _between_neighbours(p: Pair, measure: str) -> str:
    d, text = p.difference, nats if measure == DIVERGENCE else partial(fixed, digits=5)
    span = text(-d.estimate) + (" nats" if measure == DIVERGENCE else "")
    span += f" ({text(-d.ends[1])} to {text(-d.ends[0])})" if d.ends else ", no interval"
    if p.verdict == "better":
        return f"{p.first} is better than {p.second} by {span}."
    if p.verdict == TOO_LITTLE:
        return f"Too little text to say whether {p.first} is better than {p.second}: they differ by {span}."
    return f"{p.first} and {p.second} cannot be told apart: they differ by {span}."


def _why_not(c: Comparison, name: str) -> str:
    """Why a model is not worth its bytes: the best model that is no larger."""
    sizes = {x.identity.name: x.identity.file_bytes for x in c.contenders}
    by = next(x for x in c.contenders if x.identity.name in c.front_of_bytes and sizes[x.identity.name] <= sizes[name])
    other = f"the reference, {by.identity.name}," if by.is_reference else by.identity.name
    size = "as large as" if by.identity.file_bytes == sizes[name] else "larger than"
    verdict = c.pair(by.identity.name, name).verdict
    than = {"better": "worse", TOO_LITTLE: "no better in these figures"}.get(verdict, "cannot be told apart from it")
    return f"{name} is {size} {other} and {than}."


def _named(c: Comparison, names: Sequence[str]) -> str:
    reference = {x.identity.name for x in c.contenders if x.is_reference}
    return _list([f"{name} (the reference)" if name in reference else name for name in names])


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
