"""What an evaluation says, in sentences that its intervals support."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bitwright.views.numbers import fixed, human_bytes, nats

if TYPE_CHECKING:
    from bitwright.measure.suite import Evaluation


def verdict(e: Evaluation) -> list[str]:
    """Sentences about the divergence, the flips, the perplexity and, if they were measured, texts and sources."""
    return [*_next_token(e), _perplexity(e), *_many_steps(e), *_sources(e)]


def _next_token(e: Evaluation) -> list[str]:
    d, f = e.divergence, e.flips
    where = f" ({nats(d.ends[0])} to {nats(d.ends[1])})" if d.ends else f" (too few {d.of} for an interval)"
    changed, lost, won = (_percent(i.estimate) for i in (f.changed, f.right_to_wrong, f.wrong_to_right))
    standing = f", {e.floor.describe(d)}" if e.floor else ""
    return [
        f"KL divergence from the reference: {nats(d.estimate)} nats{where}{standing}.",
        f"It chooses another token {changed} of the time: {lost} turn from right to wrong, {won} from wrong to right.",
    ]


def _perplexity(e: Evaluation) -> str:
    r = e.log_perplexity_ratio
    change = f"{_percent(abs(math.expm1(r.estimate)))} {'higher' if r.estimate > 0 else 'lower'}"
    if r.ends is None:
        return f"Its perplexity on this text is {change}; too little text for an interval."
    low, high = (math.expm1(x) for x in r.ends)
    if low <= 0 <= high:
        return f"Its perplexity cannot be told apart from the reference's: {_change(low)} to {_change(high)}."
    low, high = sorted(map(abs, (low, high)))
    return f"Its perplexity is {change} ({_percent(low)} to {_percent(high)})."


def _many_steps(e: Evaluation) -> list[str]:
    if e.compounding is None:
        return []
    s = e.compounding.first_divergence.survival
    seen = f"{s.events} of {s.runs} greedy texts of up to {s.horizon} tokens differ from the reference's"
    if math.isfinite(s.median.estimate):
        span = ""
        if s.median.ends:
            low, high = (f"{x:.0f}" if math.isfinite(x) else f"more than {s.horizon}" for x in s.median.ends)
            span = f" ({low} to {high})"
        tokens = "token" if round(s.median.estimate) == 1 else "tokens"
        found = [f"{seen}, half of them within {s.median.estimate:.0f} {tokens}{span}."]
    else:
        found = [f"{seen}: fewer than half."]
    if s.above_floor is not None and s.above_floor.doubt:
        found.append(f"That is {s.above_floor.doubt}.")
    return found


def _sources(e: Evaluation) -> list[str]:
    tensors = [a for a in e.attribution if a.kind == "tensors"]
    if not tensors:
        return []
    sources = ", ".join(f"{a.name} {nats(a.divergence.estimate)}" for a in e.attribution if a.kind == "source")
    most = tensors[0]
    return [
        f"Each source of error alone: {sources} nats.",
        f"Of its tensors, {most.name} ({human_bytes(most.bytes)}) cost the most: {nats(most.divergence.estimate)} nats "
        "alone.",
    ]


def _percent(share: float) -> str:
    return f"{fixed(100 * share, 2)}%"


def _change(share: float) -> str:
    return f"{100 * share:+.2f}%"
