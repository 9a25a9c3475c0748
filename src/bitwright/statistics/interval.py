"""An estimate and its interval, if it has one.

Values of one cluster (the tokens of a document) are correlated, so intervals come from resampling whole clusters. Two
methods do that: `studentized` for means, `percentile` for any other statistic. Neither gives an interval below FEWEST
clusters: the studentized bootstrap holds its level down to there on simulated data, and fewer clusters cannot show how
far clusters differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

FEWEST = 10  # clusters that an interval needs
LEVEL = 0.95
TOO_LITTLE = "too little data"  # the verdict where there is no interval


@dataclass(frozen=True)
class Interval:
    """`estimate`, and the `ends` between which the true value lies with confidence `level`.

    `ends` is None if there is no interval: fewer than FEWEST clusters, or a statistic that no draw defines. `clusters`
    counts what was resampled, `of` names it, and `method` says how. A number of steps may be infinite (not reached
    within the steps observed); an estimate without data (0 / 0) is NaN and has no interval.
    """

    estimate: float
    ends: tuple[float, float] | None
    clusters: int
    method: str
    of: str = "documents"
    level: float = LEVEL

    def __str__(self) -> str:
        if self.ends is None:
            return f"{self.estimate:.4g} (too few {self.of} for an interval)"
        return f"{self.estimate:.4g} ({self.ends[0]:.4g} to {self.ends[1]:.4g})"

    @property
    def low(self) -> float | None:
        """The lower end; None if there are too few clusters for an interval."""
        return self.ends[0] if self.ends else None

    @property
    def high(self) -> float | None:
        """The upper end; None if there are too few clusters for an interval."""
        return self.ends[1] if self.ends else None

    def above(self, value: float) -> bool:
        """Whether the whole interval lies above `value`; False without an interval."""
        return self.ends is not None and self.ends[0] > value

    def below(self, value: float) -> bool:
        """Whether the whole interval lies below `value`; False without an interval."""
        return self.ends is not None and self.ends[1] < value

    def map(self, increasing: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the estimate."""
        ends = (increasing(self.ends[0]), increasing(self.ends[1])) if self.ends else None
        return replace(self, estimate=increasing(self.estimate), ends=ends)


def verdict(difference: Interval) -> str:
    """Whether the first is better, from first - second (lower is better): better, worse, cannot tell; or TOO_LITTLE,
    which says nothing about either."""
    if difference.ends is None:
        return TOO_LITTLE
    return "better" if difference.below(0) else "worse" if difference.above(0) else "cannot tell"
