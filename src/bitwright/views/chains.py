"""How far models get in chains of steps: what `tasks --json` prints of chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bitwright.measure.chains.comparison import compare_chains, overall_horizon_ratio
from bitwright.views.intervals import of_estimate, of_survival
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.measure.chains.comparison import ChainComparison
    from bitwright.measure.chains.scoring import ChainScore


def chains(scores: Sequence[Sequence[ChainScore]]) -> dict[str, Any]:
    """chains[{family, level, steps, success (survival over steps), step_accuracy, excess, after_error,
    disagreements}], horizon_ratio. `scores` has each family's of the candidate, then, if there is one, of the
    reference; each chain then adds reference{success, step_accuracy, excess}, horizon_ratio, loss_change.

    Estimates are {value, low, high}; shares are 0 to 1, horizons in steps; None: not reached, or unknown."""
    own, reference = scores[0], scores[-1]
    compared = len(scores) > 1
    return plain(
        {
            "chains": [_chain(compare_chains(a, b), compared) for a, b in zip(own, reference, strict=True)],
            "horizon_ratio": of_estimate(overall_horizon_ratio(own, reference)) if compared else None,
        }
    )


def _chain(c: ChainComparison, compared: bool) -> dict[str, Any]:
    row = {
        "family": c.family,
        "level": c.level,
        "steps": c.steps,
        "success": of_survival(c.candidate),
        "step_accuracy": of_estimate(c.accuracy),
        "excess": of_estimate(c.excess),
        "after_error": of_estimate(c.after_error) if c.after_error else None,
        "disagreements": c.disagreements,
    }
    if not compared:
        return row
    return row | {
        "reference": {
            "success": of_survival(c.reference),
            "step_accuracy": of_estimate(c.reference_accuracy),
            "excess": of_estimate(c.reference_excess),
        },
        "horizon_ratio": of_estimate(c.horizon_ratio),
        "loss_change": of_estimate(c.loss_change),
    }
