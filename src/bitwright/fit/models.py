"""Which of several models, each fitted to the same budget, to keep: bigger and quantized, or smaller and full.

Divergences say nothing here, since each is from its own original. Bits per byte of one held-out text compare models
with different tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.errors import BitwrightError
from bitwright.fit.settings import Fitted
from bitwright.measure.comparison import BITS, Contender, between, by_document
from bitwright.statistics.interval import Interval, verdict

ALIKE = 1.05  # models whose parameters differ by less than this factor count as equally big


@dataclass(frozen=True)
class Entrant:
    """A fitted model. contender: what was measured on the held-out text. memory: bytes that running it takes."""

    name: str
    parameters: int
    bits_per_weight: float
    memory: int
    contender: Contender

    @property
    def bits_per_byte(self) -> Interval:
        """Bits that the model needs for a byte of the text; fewer are better."""
        return self.contender.bits_per_byte


@dataclass(frozen=True)
class Decision:
    """chosen: the model to keep. others: the rest, best first. behind: how many more bits per byte each of them needs,
    paired by document. tied: the others that cannot be told apart from the best; of them, the one that takes the least
    memory is chosen."""

    chosen: Entrant
    others: tuple[Entrant, ...]
    behind: tuple[Interval, ...]
    tied: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The chosen model beside the best of the others: "bigger and quantized", "smaller and full", or how else."""
        if not self.others:
            return "the only one"
        own, other = self.chosen, self.others[0]
        if max(own.parameters, other.parameters) < ALIKE * min(own.parameters, other.parameters):
            return "equally big"
        bits = "full" if own.bits_per_weight >= 15 else "quantized"
        return f"{'bigger' if own.parameters > other.parameters else 'smaller'} and {bits}"


def entrant(f: Fitted) -> Entrant:
    """A fitted model with what was measured. BitwrightError if nothing was, since the search was interrupted."""
    if f.measured is None:
        raise BitwrightError(f"{f.source.name} was not measured, so it cannot be compared with other models")
    scores = f.measured.scores
    found = Contender(f.measured.candidate, f.measured, *by_document(scores.windows, scores.losses))
    outline = f.budget.outline
    memory = f.budget.plan(f.assignments).total
    return Entrant(f.source.name, outline.parameters, f.bits_per_weight, memory, found)


def decide(entrants: Sequence[Entrant]) -> Decision:
    """The model that needs the fewest bits per byte; of those that cannot be told apart from it, the one that takes the
    least memory. Models must have been measured on one text."""
    ranked = sorted(entrants, key=lambda e: e.bits_per_byte.estimate)
    best = ranked[0]
    ties = [e for e in ranked[1:] if verdict(between(BITS, best.contender, e.contender)) == "cannot tell"]
    chosen = min([best, *ties], key=lambda e: e.memory)
    others = tuple(e for e in ranked if e is not chosen)
    behind = tuple(between(BITS, e.contender, chosen.contender) for e in others)
    return Decision(chosen, others, behind, tuple(e.name for e in (best, *ties) if e is not chosen))
