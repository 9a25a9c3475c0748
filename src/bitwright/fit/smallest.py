"""The smallest candidate that loses no more than is allowed, as it is measured."""

from __future__ import annotations

from bitwright.errors import BudgetError
from bitwright.fit.allocation import cheapest
from bitwright.fit.choices import Choices, Levels, Scorer
from bitwright.progress import Progress

TRIES = 6  # candidates that are measured
SAFETY = 0.98  # of what would just reach the goal, so that a try reaches it


def smallest(choices: Choices, scorer: Scorer, most: float, progress: Progress | None = None) -> Levels:
    """Of the candidates tried, the one of fewest bytes that measures at most `most` nats over all chunks.

    The additive model says which candidate is smallest for a predicted loss; what that measures corrects the next
    prediction. BudgetError with the least loss measured if no try is good enough.
    """
    chunks, allowed = range(scorer.chunks), most
    found: Levels | None = None
    tried: dict[Levels, float] = {}
    for number in range(TRIES):
        levels = cheapest(choices, max(allowed, _least(choices)))
        if levels in tried:
            break
        if progress:
            progress(number, TRIES, f"{len(tried)} candidates measured")
        tried[levels] = measured = float(scorer.score([levels], chunks, levels).mean())
        if measured <= most and (found is None or choices.bytes_of(levels) < choices.bytes_of(found)):
            found = levels
        allowed = choices.cost_of(levels) * SAFETY * most / max(measured, 1e-12)
    if found is None:
        least = min(tried.values())
        raise BudgetError(
            f"no choice of formats was found that loses at most {most} nats: the least measured is {least:.4g}; "
            "allow more, or formats of more bits",
            least,
        )
    return found


def _least(choices: Choices) -> float:
    """The least loss that is predicted for any candidate."""
    return float(choices.cost.min(axis=1).sum())
