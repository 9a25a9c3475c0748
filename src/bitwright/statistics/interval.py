"""An estimate and the interval around it, or the statement that there is none.

Values of one cluster (the tokens of a document) are correlated, so intervals come from drawing whole clusters anew. Two
methods do that: `studentized` for means, `percentile` for any other statistic. Both give no interval below FEWEST
clusters: the studentized bootstrap holds its level down to there on simulated data, and fewer clusters cannot show how
far clusters differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

FEWEST = 10  # clusters that an interval needs
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """`estimate`, and the `ends` between which the true value lies in `level` of all cases.

    `ends` is None where there is no interval: fewer than FEWEST clusters, or a statistic that no draw defines.
    `clusters` counts what was drawn anew, `of` says what that is, and `method` how. A number of steps may be infinite
    (not reached within what was seen); an estimate without data (0 / 0) is NaN and has no interval.
    """

    estimate: float
    ends: tuple[float, float] | None
    clusters: int
    method: str
    of: str = "documents"
    level: float = LEVEL

    @property
    def low(self) -> float | None:
        """The lower end; None if there are too few clusters for an interval."""
        return self.ends[0] if self.ends else None

    @property
    def high(self) -> float | None:
        """The upper end; None if there are too few clusters for an interval."""
        return self.ends[1] if self.ends else None

    def above(self, value: float) -> bool:
        """Whether the whole interval lies above `value`; False where there is none."""
        return self.ends is not None and self.ends[0] > value

    def below(self, value: float) -> bool:
        """Whether the whole interval lies below `value`; False where there is none."""
        return self.ends is not None and self.ends[1] < value

    def map(self, increasing: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the estimate."""
        ends = (increasing(self.ends[0]), increasing(self.ends[1])) if self.ends else None
        return replace(self, estimate=increasing(self.estimate), ends=ends)


def verdict(difference: Interval) -> str:
    """What an interval of (first - second), where less is better, says of the first: better, worse or cannot tell."""
    return "better" if difference.below(0) else "worse" if difference.above(0) else "cannot tell"
