"""A file that was fitted to a budget: what `fit --json` prints, and the same in words."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from bitwright.recipes.roles import role
from bitwright.views.evaluation import evaluation
from bitwright.views.headline import headline as lost
from bitwright.views.intervals import of_interval
from bitwright.views.numbers import human_bytes, human_rate, nats
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.fit.settings import Fitted
    from bitwright.recipes import Assignment

LOSSES = {  # of `fit.objectives`, in words
    "mean": "of the mean divergence",
    "tail": "of its mean over the worst twentieth of tokens",
    "divergence": "of how often the likeliest token changes",
}


def fitted(f: Fitted, about: dict[str, Any] | None = None) -> dict[str, Any]:
    """headline, words, model, asked (in words), output, bytes (of the file), bits_per_weight, budget_bytes, budget_of
    (what those bytes are of: the file, the tensors, memory in an engine), plan{weights, kv, compute, overhead, total,
    context, kv_format, engine}, recipe[{tensor, format, bytes, reason}], roles (`roles`), predicted{kl_divergence,
    search (of the chosen file on the search text), tokens_per_second}, measured (the view `evaluation` on text that the
    search never read: kl_divergence, perplexity, first_divergence (None if time did not reach for it), ...; None if it
    was interrupted before), gain{search, apart} (what the search took off the divergence of its seed, in nats: on the
    chunks that it raced on, and on those of its text that only confirm a winner), gains{mean, tail, divergence} (on the
    held-out text by each objective, as shares of what the seed loses), front[{bytes,
    kl_divergence, tokens_per_second, chosen (the file; the others are predicted from it)}], seconds, peak_memory_bytes,
    disk_bytes, interrupted, cut (what was left out to keep within the time, in words), warnings."""
    budget, m = f.budget, f.budget.plan(f.assignments)
    return plain(
        {
            "headline": headline(f),
            "words": words(f),
            "model": f.source.name,
            "asked": budget.asked,
            "output": f.output,
            "bytes": f.bytes,
            "bits_per_weight": f.bits_per_weight,
            "budget_bytes": budget.total,
            "budget_of": budget.of,
            "plan": {
                **{part: getattr(m, part) for part in ("weights", "kv", "compute", "overhead", "total")},
                "context": budget.context,
                "kv_format": budget.kv,
                "engine": budget.engine or "llama.cpp",
            },
            "recipe": [{"tensor": a.tensor, "format": a.format.name, "bytes": a.bytes, "reason": a.reason}
                       for a in f.assignments],
            "roles": roles(f),
            "predicted": {
                "kl_divergence": f.predicted_kl,
                "search": f.searched and of_interval(f.searched),
                "tokens_per_second": f.speed and f.speed.as_json(),
            },
            "measured": f.measured and {"first_divergence": None, **evaluation(f.measured, about)},
            "gain": {
                "search": f.gain_searched and of_interval(f.gain_searched),
                "apart": f.gain_apart and of_interval(f.gain_apart),
            },
            "gains": {name: of_interval(gain) for name, gain in f.gains.items()},
            "front": [vars(point) for point in f.front],
            "seconds": f.seconds,
            "peak_memory_bytes": f.peak_memory_bytes,
            "disk_bytes": f.disk_bytes,
            "interrupted": f.interrupted,
            "cut": f.cut,
            "warnings": [*f.warnings, *(f.measured.warnings if f.measured else ())],
        }
    )  # fmt: skip


def roles(f: Fitted) -> list[dict[str, Any]]:
    """role, tensors, bytes, weights, bits_per_weight, formats{format: tensors} of the tensors that were searched, the
    most bytes first. "other": those that keep their format."""
    shapes = {t.name: t.shape for t in f.budget.outline.tensors}
    groups: dict[str, list[Assignment]] = {}
    for a in f.assignments:
        groups.setdefault(role(a.tensor), []).append(a)
    found = []
    for name, members in sorted(groups.items(), key=lambda group: -sum(a.bytes for a in group[1])):
        weights, size = sum(math.prod(shapes[a.tensor]) for a in members), sum(a.bytes for a in members)
        counts = Counter(a.format.name for a in members)
        bits = 8 * size / weights
        found.append({"role": name, "tensors": len(members), "bytes": size, "weights": weights, "bits_per_weight": bits,
                      "formats": dict(counts.most_common())})  # fmt: skip
    return found


def headline(f: Fitted) -> str:
    """What was lost, in one sentence without a full stop."""
    return lost(f.measured) if f.measured else "not measured, because the search was interrupted"


def words(f: Fitted) -> list[str]:
    """How much of the budget is used, what running it takes, what was lost, how far the search text and other text
    agree, and how fast."""
    return [_use(f), _memory(f), *_loss(f), *_gap(f), *_objectives(f), *_speed(f)]


def _use(f: Fitted) -> str:
    b = f.budget
    if b.max_kl is not None:
        return f"Asked for: the smallest file with {b.asked}. It has {f.bytes:,} bytes."
    if b.engine is not None:
        said, used = f"In {b.engine} it takes", b.plan(f.assignments).total
    elif b.alignment is not None:
        said, used = "The file has", f.bytes
    else:
        said, used = "Its tensors have", sum(a.bytes for a in f.assignments)
    left = b.total - used
    rest = f"{left:,} bytes are" if left < 10**6 else f"{human_bytes(left)} is"
    return f"Asked for: {b.asked}. {said} {used:,}; {rest} left."


def _memory(f: Fitted) -> str:
    b, m = f.budget, f.budget.plan(f.assignments)
    weights, kv, rest, total = map(human_bytes, (m.weights, m.kv, m.compute + m.overhead, m.total))
    return (f"Running it in {b.engine or 'llama.cpp'} takes {total}: {weights} of weights, {kv} for {b.context} tokens "
            f"of context in {b.kv}, {rest} of buffers and the engine.")  # fmt: skip


def _loss(f: Fitted) -> list[str]:
    if f.measured is None:
        return []
    d = f.measured.divergence
    where = f" ({nats(d.ends[0])} to {nats(d.ends[1])})" if d.ends else f" (too few {d.of} for an interval)"
    found = [f"KL divergence from the original on text the search never read: {nats(d.estimate)} nats{where}."]
    most = f.budget.max_kl
    if most is not None and d.above(most):
        found.append(f"That is more than the {most:g} nats asked for, which it keeps on the search text: search on "
                     "more text of that kind, or ask for less.")  # fmt: skip
    return found


def _gap(f: Fitted) -> list[str]:
    """What the search gained on its own text, and how much of that holds on other text."""
    found = [f"On the search text it is {nats(f.searched.estimate)} nats."] if f.searched else []
    tried = len(f.history["tried"]) - 1 if f.history else 0
    if f.history and tried and not f.history["best"]:
        many = "1 candidate was tried, but it was not" if tried == 1 else f"{tried} candidates were tried, but none was"
        found.append(f"{many} clearly better than the first allocation on search text set apart: it was written.")
    own, other = f.gain_apart, f.gains.get("mean")
    if own is None or other is None or f.searched is None:
        return found
    before = own.estimate + f.searched.estimate
    share = _percent(own.estimate / before if before else 0.0)
    said = f"Searching took {share} off the divergence of the first allocation on search text set apart"
    if other.above(0):
        return [*found, f"{said}, and {_percent(other.estimate)} on text it never read."]
    if other.below(0):
        more = _percent(-other.estimate)
        return [*found, f"{said}, but on text it never read it added {more}: it fitted its own text."]
    return [*found, f"{said}; on text it never read, no gain can be told from chance."]


def _objectives(f: Fitted) -> list[str]:
    """What the search took off each objective on text it never read, and whether they disagree."""
    if not f.gains:
        return []
    each = [f"{LOSSES[name]} {gain.map(lambda share: 100 * share)}" for name, gain in f.gains.items()]
    found = f"On text it never read, searching took off, in percent: {', '.join(each)}."
    better = [name for name, gain in f.gains.items() if gain.above(0)]
    worse = [name for name, gain in f.gains.items() if gain.below(0)]
    if better and worse:
        found += f" The objectives disagree: {' and '.join(better)} fell, {' and '.join(worse)} rose."
    return [found]


def _speed(f: Fitted) -> list[str]:
    if f.speed is None:
        return []
    middle, low, high = map(human_rate, (f.speed.tokens_per_second, f.speed.low, f.speed.high))
    return [f"Predicted speed: {middle} tokens per second ({low} to {high})."]


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
