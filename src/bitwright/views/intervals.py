"""Parts that views of measurements share: intervals and survival curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.statistics.interval import Interval

if TYPE_CHECKING:
    from bitwright.statistics.survival import Survival


def of_interval(i: Interval) -> dict[str, Any]:
    """mean, low, high (None if there are fewer `clusters` than an interval needs), clusters, of (what a cluster is),
    confidence, method."""
    return {
        "mean": i.estimate,
        "low": i.low,
        "high": i.high,
        "clusters": i.clusters,
        "of": i.of,
        "confidence": i.level,
        "method": i.method,
    }


def of_estimate(i: Interval) -> dict[str, Any]:
    """value, low, high (None if there are fewer `clusters` than an interval needs), clusters."""
    return {"value": i.estimate, "low": i.low, "high": i.high, "clusters": i.clusters}


def of_fields(row: object) -> dict[str, Any]:
    """The fields of a dataclass, intervals among them as `of_estimate` gives them."""
    return {name: of_estimate(v) if isinstance(v, Interval) else v for name, v in vars(row).items()}


def of_survival(s: Survival) -> dict[str, Any]:
    """median, low, high (steps), survival[[step, share]], band[[step, low, high]], hazard, restricted_mean, rate (per
    step), half_life (steps), runs, events, censored, horizon (steps)."""
    return {
        "median": s.median.estimate,
        "low": s.median.low,
        "high": s.median.high,
        "survival": [list(point) for point in s.curve()],
        "band": [[step, *((None, None) if s.band is None else s.band[:, step])] for step, _ in s.curve()],
        "hazard": [of_fields(h) for h in s.hazards],
        "restricted_mean": of_estimate(s.restricted_mean),
        "rate": of_estimate(s.rate),
        "half_life": of_estimate(s.half_life),
        "runs": s.runs,
        "events": s.events,
        "censored": s.censored,
        "horizon": s.horizon,
    }
