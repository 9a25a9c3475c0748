"""Several models compared: which is better, which cannot be told apart, and which are worth their bytes.

Quantizations of one model (as many parameters as the reference, and its tokenizer) are ranked by their KL divergence
from it. For other models the distance from the reference says little: they are ranked by bits per byte of the text,
which does not depend on the tokenizer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.bench.speed import seconds_to_decode
from bitwright.measure.scoring import token_losses
from bitwright.measure.suite import Evaluation, Identity
from bitwright.statistics import studentized
from bitwright.statistics.interval import Interval, verdict

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.windows import Windows

DIVERGENCE, BITS = "KL divergence", "bits per byte"
DECODED, ROUNDS = 24, 3  # tokens, if the context has room; times

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Contender:
    """One model of a comparison. `evaluation` is None if it does not share the reference's tokenizer; `nats` and
    `sizes`: of each document of the text (documents,), its losses and its bytes; `speeds`: tokens decoded per second,
    in each timing. `is_reference`: what the others are measured against, itself among them."""

    identity: Identity
    evaluation: Evaluation | None
    nats: Float64
    sizes: Float64
    speeds: tuple[float, ...] = ()
    is_reference: bool = False

    @property
    def speed(self) -> float:
        """Tokens decoded per second, the median."""
        return statistics.median(self.speeds)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest timing, without the extreme ones if there are at least four."""
        ordered = sorted(self.speeds)
        inner = ordered[1:-1] if len(ordered) >= 4 else ordered
        return inner[0], inner[-1]

    @property
    def bits_per_byte(self) -> Interval:
        """Bits per byte of text, with its interval over the clusters."""
        seen = self.sizes > 0
        return studentized.ratio(self.nats[seen] / math.log(2), self.sizes[seen])


@dataclass(frozen=True)
class Pair:
    """Whether the first of two models is better: the interval of its measure minus the other's."""

    first: str
    second: str
    difference: Interval
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Contenders, best first by `measure`; all pairs; the names on the fronts of quality against bytes and speed."""

    measure: str
    contenders: tuple[Contender, ...]
    pairs: tuple[Pair, ...]
    front_of_bytes: tuple[str, ...]
    front_of_speed: tuple[str, ...]

    def quality(self, c: Contender) -> Interval:
        """The measure; lower is better."""
        return quality(self.measure, c)

    def pair(self, first: str, second: str) -> Pair:
        """The paired comparison of two contenders by name. Raises StopIteration if they were not paired."""
        return next(p for p in self.pairs if (p.first, p.second) == (first, second))

    @property
    def candidates(self) -> tuple[Contender, ...]:
        """The contenders without the reference, best first."""
        return tuple(c for c in self.contenders if not c.is_reference)


def contender(engine: Engine, identity: Identity, evaluation: Evaluation | None, windows: Windows) -> Contender:
    """A model with its evaluation, or else scored on `windows` of its own tokenizer; not yet timed."""
    if evaluation is not None:
        losses = evaluation.scores.losses
    else:
        session = engine.session()
        losses = np.array([token_losses(session, ids, windows.first) for ids in windows.ids])
    return Contender(identity, evaluation, *by_document(windows, losses))


def by_document(windows: Windows, losses: Float64) -> tuple[Float64, Float64]:
    """The losses (chunks, scored) of each document, and its bytes that were scored; both (documents,)."""
    documents, count = windows.documents.ravel(), int(windows.documents.max()) + 1
    nats, sizes = (np.bincount(documents, x.ravel(), count).astype(np.float64) for x in (losses, windows.sizes))
    return nats, sizes


def seconds_per_token(engine: Engine) -> list[float]:
    """ROUNDS measurements of the seconds to decode one token."""
    session, ids = engine.session(), list(range(1, min(DECODED, engine.context - 1) + 1))
    session.prefill(ids)
    return [seconds_to_decode(session, ids[:1], ids) / len(ids) for _ in range(ROUNDS)]


def quality(measure: str, c: Contender) -> Interval:
    """The measure that contenders are ranked by: bits per byte or KL divergence."""
    if measure == BITS:
        return c.bits_per_byte
    assert c.evaluation is not None
    return c.evaluation.divergence


def compare(contenders: Sequence[Contender], measure: str) -> Comparison:
    """Rank contenders and find the fronts. Differences are paired by document; a model is faster if its whole
    spread of timings is."""
    ranked = sorted(contenders, key=lambda c: (measure == BITS or not c.is_reference, quality(measure, c).estimate))
    pairs = []
    for a, b in combinations(ranked, 2):
        difference = between(measure, a, b)
        pairs.append(Pair(a.identity.name, b.identity.name, difference, verdict(difference)))
    smaller = front(ranked, lambda c, better: c.identity.file_bytes < better.identity.file_bytes)
    faster = front(ranked, lambda c, better: c.spread[0] > better.spread[1])
    return Comparison(measure, tuple(ranked), tuple(pairs), smaller, faster)


def between(measure: str, a: Contender, b: Contender) -> Interval:
    """The measure of a minus that of b, resampled by document."""
    if measure == DIVERGENCE:
        assert a.evaluation is not None and b.evaluation is not None
        return a.evaluation.scores.mean(a.evaluation.scores.divergences - b.evaluation.scores.divergences)
    count = min(len(a.sizes), len(b.sizes))
    shared = (a.sizes[:count] > 0) & (b.sizes[:count] > 0)
    of_a, of_b = (c.nats[:count][shared] / c.sizes[:count][shared] / math.log(2) for c in (a, b))
    weights = a.sizes[:count][shared] + b.sizes[:count][shared]
    return studentized.ratio((of_a - of_b) * weights, weights)


def front(ranked: Sequence[Contender], cheaper: Callable[[Contender, Contender], bool]) -> tuple[str, ...]:
    """The contenders (ranked by quality, best first) that are `cheaper` than every better one on the front."""
    kept: list[Contender] = []
    for c in ranked:
        if all(cheaper(c, better) for better in kept):
            kept.append(c)
    return tuple(c.identity.name for c in kept)
