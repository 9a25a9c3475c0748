"""How errors compound over many steps: what `eval --reference --json` prints of texts that models write."""

from __future__ import annotations

from typing import Any

from bitwright.measure.rollout.compounding import Compounding
from bitwright.measure.rollout.free_running import FreeRunning
from bitwright.measure.rollout.horizon import FirstDivergence
from bitwright.statistics.interval import LEVEL
from bitwright.statistics.resampling import DRAWS
from bitwright.views.intervals import of_estimate, of_fields, of_survival
from bitwright.views.plain import plain


def compounding(c: Compounding) -> dict[str, Any]:
    """first_divergence and sampled_first_divergence (survival, near_ties, tie, without_near_ties, tokens_differing,
    above_floor), sequence_kl{tellable_at, total[nats by step; low; high], advantage_at_most}, local_error, free_running
    (both None if not measured), rollout{steps, prompts, clusters, seed, floor, draws, confidence}.

    Steps are tokens counted from 1; divergences are in nats, shares 0 to 1. None also means not reached
    within the steps, or not known from them."""
    s = c.sequence
    return plain(
        {
            "first_divergence": _divergence(c.first_divergence),
            "sampled_first_divergence": _divergence(c.sampled_first_divergence),
            "sequence_kl": {
                "tellable_at": of_estimate(s.tellable),
                "total": [s.total, *((None, None) if s.band is None else s.band)],
                "advantage_at_most": float(s.advantage[-1]),
            },
            "local_error": [of_fields(row) for row in c.local] if c.local else None,
            "free_running": _free(c.free) if c.free else None,
            "rollout": {
                "steps": c.steps,
                "prompts": c.prompts,
                "clusters": c.clusters,
                "seed": c.seed,
                "floor": c.floor,
                "draws": DRAWS,
                "confidence": LEVEL,
            },
        }
    )


def _divergence(d: FirstDivergence) -> dict[str, Any]:
    above = d.survival.above_floor
    return of_survival(d.survival) | {
        "near_ties": d.near_ties,
        "tie": d.tie,
        "without_near_ties": of_survival(d.without_near_ties),
        "tokens_differing": of_estimate(d.differing),
        "above_floor": above
        and {
            "floor_rate": of_estimate(above.floor),
            "rate": of_estimate(above.rate),
            "median": of_estimate(above.median),
            "distinguishable": above.distinguishable,
        },
    }


def _free(f: FreeRunning) -> dict[str, Any]:
    return {
        "kl_by_horizon": [of_fields(row) for row in f.growth],
        "amplification": of_estimate(f.growth[-1].amplification),
        "endings": of_fields(f.endings),
        "sampled_endings": of_fields(f.sampled_endings),
        "verified": {"paths": f.verification.rollouts, "exceptions": f.verification.exceptions},
        "examples": [vars(e) for e in f.examples],
        "planning": {
            "proposals": f.planning.proposals,
            "alike": f.planning.alike,
            "by_step": [of_fields(row) for row in f.planning.rows],
        },
    }
