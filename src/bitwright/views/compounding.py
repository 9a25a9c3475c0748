"""How errors compound, as plain JSON: what `eval --json` prints and reports hold."""

from __future__ import annotations

from typing import Any

from bitwright.measure.rollout.compounding import Compounding
from bitwright.measure.rollout.free_running import FreeRunning
from bitwright.measure.rollout.horizon import FirstDivergence
from bitwright.statistics.interval import LEVEL, Interval
from bitwright.statistics.resampling import DRAWS
from bitwright.statistics.survival import Survival


def as_json(c: Compounding) -> dict[str, Any]:
    """Steps are tokens counted from 1; divergences are in nats, shares in 0 to 1. The ends of an interval are None
    where there are too few clusters. Infinite: not reached within the steps; NaN: undefined (both print as null)."""
    s = c.sequence
    return {
        "first_divergence": of_divergence(c.first_divergence),
        "sampled_first_divergence": of_divergence(c.sampled_first_divergence),
        "sequence_kl": {
            "tellable_at": of_estimate(s.tellable),
            "total": [s.total.tolist(), *([None, None] if s.band is None else s.band.tolist())],
            "advantage_at_most": float(s.advantage[-1]),
        },
        "local_error": [_row(r) for r in c.local] if c.local else None,
        "free_running": of_free(c.free) if c.free else None,
        "rollout": {"steps": c.steps, "prompts": c.prompts, "clusters": c.clusters, "seed": c.seed, "floor": c.floor,
                    "draws": DRAWS, "confidence": LEVEL},
    }  # fmt: skip


def of_divergence(d: FirstDivergence) -> dict[str, Any]:
    above = d.survival.above_floor
    return of_survival(d.survival) | {
        "near_ties": d.near_ties,
        "tie": d.tie,
        "without_near_ties": of_survival(d.without_near_ties),
        "tokens_differing": of_estimate(d.differing),
        "above_floor": above and {
            "floor_rate": of_estimate(above.floor),
            "rate": of_estimate(above.rate),
            "median": of_estimate(above.median),
            "distinguishable": above.distinguishable,
        },
    }  # fmt: skip


def of_survival(s: Survival) -> dict[str, Any]:
    return {
        "median": s.median.estimate,
        "low": s.median.low,
        "high": s.median.high,
        "survival": [list(point) for point in s.curve()],
        "band": [[step, *([None, None] if s.band is None else s.band[:, step].tolist())] for step, _ in s.curve()],
        "hazard": [_row(h) for h in s.hazards],
        "restricted_mean": of_estimate(s.restricted_mean),
        "rate": of_estimate(s.rate),
        "half_life": of_estimate(s.half_life),
        "runs": s.runs,
        "events": s.events,
        "censored": s.censored,
        "horizon": s.horizon,
    }


def of_free(f: FreeRunning) -> dict[str, Any]:
    return {
        "kl_by_horizon": [_row(r) for r in f.growth],
        "amplification": of_estimate(f.growth[-1].amplification),
        "endings": _row(f.endings),
        "sampled_endings": _row(f.sampled_endings),
        "verified": {"paths": f.verification.rollouts, "exceptions": [list(e) for e in f.verification.exceptions]},
        "examples": [vars(e) for e in f.examples],
        "planning": {"proposals": f.planning.proposals, "alike": f.planning.alike,
                     "by_step": [_row(r) for r in f.planning.rows]},
    }  # fmt: skip


def of_estimate(i: Interval) -> dict[str, Any]:
    """`low` and `high` are None where there are fewer `clusters` than an interval needs."""
    return {"value": i.estimate, "low": i.low, "high": i.high, "clusters": i.clusters}


def _row(row: object) -> dict[str, Any]:
    return {name: of_estimate(v) if isinstance(v, Interval) else v for name, v in vars(row).items()}
