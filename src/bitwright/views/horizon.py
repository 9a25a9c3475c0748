"""A candidate on the horizon suite: what `eval --suite horizon --json` prints and reports show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.measure.horizon import prompts
from bitwright.measure.horizon.original import STEPS
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import DRAWS
from bitwright.views.intervals import of_interval, of_survival
from bitwright.views.numbers import fixed, nats
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.measure.horizon.endings import Ending
    from bitwright.measure.horizon.score import Closeness, Margins, Part, Score
    from bitwright.measure.suite import Identity


def horizon(
    s: Score, ends: Sequence[Ending], candidate: Identity, reference: dict[str, Any], about: dict[str, Any]
) -> dict[str, Any]:
    """model{name, sha256, file_bytes, bits_per_weight}, reference, suite{name, sha256 (of the prompts), ids_sha256 (of
    their tokens), prompts, of (prompts in the whole set), steps, template (None: plain turns)}, horizon{all, and each
    kind of prompts: prompts, identical, aligned (tokens of `steps`), parted_at (step), kl_divergence, same_top1, flips,
    sure_flips, first_divergence, margins, floors[{name, identical, aligned, kl_divergence, same_top1}]}, endings[{what
    (turn or thought), asked, places, original, candidate, difference (probabilities of the end), ends}], headline,
    words, warnings, about, bootstrap.

    Shares are 0 to 1, divergences and margins in nats, steps counted from 1. None: not known, or not reached."""
    items = s.original.items
    return plain(
        {
            "model": vars(candidate),
            "reference": reference,
            "suite": {
                "name": prompts.VERSION,
                "sha256": prompts.SHA256,
                "ids_sha256": s.original.ids_sha256,
                "prompts": len(items),
                "of": len(prompts.items()),
                "steps": STEPS,
                "template": s.original.engine.chat_template and s.original.engine.chat_template.name,
            },
            "horizon": {name: _part(part) for name, part in s.parts.items()},
            "endings": [of_ending(e) for e in ends],
            "headline": headline(s),
            "words": words(s) + [in_words(e) for e in ends],
            "warnings": warnings(s),
            "about": about,
            "bootstrap": {"resamples": DRAWS},
        }
    )


def _part(p: Part) -> dict[str, Any]:
    without = of_survival(p.first.without_near_ties)
    near = {"near_ties": p.first.near_ties, "tie": p.first.tie, "without_near_ties": without}
    return {
        "prompts": p.candidate.prompts,
        **_closeness(p.candidate),
        "flips": of_interval(p.flips),
        "sure_flips": of_interval(p.sure_flips),
        "first_divergence": of_survival(p.first.survival) | near,
        "margins": _margins(p.margins),
        "floors": [{"name": name, **_closeness(floor)} for name, floor in p.floors.items()],
    }


def _closeness(c: Closeness) -> dict[str, Any]:
    return {
        "identical": of_interval(c.identical),
        "aligned": of_interval(c.aligned),
        "parted_at": of_interval(c.parted_at),
        "kl_divergence": of_interval(c.divergence),
        "same_top1": of_interval(c.same_top1),
    }


def _margins(m: Margins) -> dict[str, Any]:
    below = [{"nats": nats, "partings": partings, "steps": steps} for nats, partings, steps in m.below]
    medians = {"original": m.original, "candidate": m.candidate, "everywhere": m.everywhere}
    return {"median": medians, "below": below, "near_ties": m.ties}


def headline(s: Score) -> str:
    """How long the candidate stays with the original, in one sentence without a full stop."""
    c, above = s.whole.candidate, s.whole.first.survival.above_floor
    identical = f"{_percent(c.identical)} of the texts are identical"
    if c.aligned.ends is None:
        return f"too few prompts for intervals ({c.prompts}); on these, {identical}"
    if above is not None and above.doubt:
        return f"stays with the original as long as the original with itself: {identical}"
    return f"stays with the original for {_spread(c.aligned, 1)} of {STEPS} tokens; {identical}"


def words(s: Score) -> list[str]:
    """What was found, in sentences that the intervals support."""
    part, c, m = s.whole, s.whole.candidate, s.whole.margins
    parted, median = part.first.survival.events, part.first.survival.median.estimate
    half = f"half have parted by token {median:.0f}" if math.isfinite(median) else "fewer than half part"
    found = [
        f"{c.prompts - parted} of {c.prompts} texts of {STEPS} tokens are the original's, token for token: "
        f"{_spread(c.identical, 1, 100)} percent; {half}.",
        f"At the same places, the KL divergence is {_interval(c.divergence, nats)} nats, and it would choose another "
        f"token {_spread(part.flips, 1, 100)} percent of the time.",
    ]
    found += [
        f"The original itself, with {name}: {_spread(floor.aligned, 1)} of {STEPS} tokens, {_percent(floor.identical)} "
        "of the texts identical."
        for name, floor in part.floors.items()
    ]
    if parted:
        found.append(
            f"Where texts part, the original preferred its token by {m.original:.2f} nats (median; {m.everywhere:.2f} "
            f"over all tokens). Its own noise could have turned {m.ties} of the {parted} partings."
        )
    return found


def warnings(s: Score) -> list[str]:
    """What a reader should know before comparing the figures with others."""
    count, whole, found = len(s.original.items), len(prompts.items()), []
    if count < whole:
        found.append(f"{count} of the {whole} prompts of {prompts.VERSION} were used: compare only with the same ones")
    if s.original.engine.chat_template is None:
        found.append("the original has no chat template: prompts were written as plain turns")
    return found


def of_ending(e: Ending) -> dict[str, Any]:
    """The fields of an ending."""
    return {name: of_interval(v) if isinstance(v, Interval) else v for name, v in vars(e).items()}


def in_words(e: Ending) -> str:
    """How likely the candidate ends where the original does."""
    places = f"{e.places} of {e.asked} answers"
    both = f"{e.original.estimate:.3f}, the candidate {e.candidate.estimate:.3f}"
    return (f"Where the original ends its {e.what} ({places}), it gives that a probability of {both}: a difference of "
            f"{_spread(e.difference, 3)}. The candidate would end there in {_percent(e.ends)} of them.")  # fmt: skip


def _percent(i: Interval) -> str:
    return f"{100 * i.estimate:.1f}%"


def _spread(i: Interval, digits: int, factor: float = 1) -> str:
    return _interval(i, lambda x: fixed(factor * x, digits))


def _interval(i: Interval, text: Callable[[float], str]) -> str:
    """An estimate with its interval, or with why there is none."""
    mean, *ends = map(text, (i.estimate, *(i.ends or ())))
    return f"{mean} ({ends[0]} to {ends[1]})" if ends else f"{mean} (too few {i.of} for an interval)"
