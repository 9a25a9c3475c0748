"""An evaluation as plain JSON: what `eval --json` prints and reports hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bitwright.measure.noise_floor import NoiseFloor
from bitwright.measure.suite import Evaluation
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import DRAWS
from bitwright.statistics.studentized import SEED
from bitwright.views import compounding

SHARES = (0.001, 0.01, *(n / 20 for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)  # quantiles for a plot


def as_json(e: Evaluation) -> dict[str, Any]:
    """Numbers are plain; shares lie in 0 to 1, divergences are in nats; an unknown end of an interval is None."""
    windows, values = e.scores.windows, e.scores.divergences
    return {
        "model": vars(e.candidate),
        "reference": e.reference,
        "tokens_scored": windows.targets.size,
        "context": windows.context,
        "chunks": len(windows),
        "documents": len(np.unique(windows.documents)),
        "chunks_sha256": windows.sha256,
        "perplexity": {"mean": e.perplexity.mean, "standard_error": e.perplexity.standard_error},
        "base_perplexity": {"mean": e.base_perplexity.mean, "standard_error": e.base_perplexity.standard_error},
        "log_perplexity_ratio": of_interval(e.log_perplexity_ratio),
        "kl_divergence": {
            **of_interval(e.divergence),
            "median": float(np.median(values)),
            "p99": float(np.quantile(values, 0.99)),
            "max": float(values.max()),
            "quantiles": [[share, float(np.quantile(values, share))] for share in SHARES],
            "storage_error": e.scores.storage_error,
        },
        "same_top1": e.same_top1.estimate,
        "same_top1_interval": of_interval(e.same_top1),
        "flips": {
            "changed": of_interval(e.flips.changed),
            "right_to_wrong": of_interval(e.flips.right_to_wrong),
            "wrong_to_right": of_interval(e.flips.wrong_to_right),
            "tokens": e.flips.tokens,
        },
        "bits_per_byte": of_interval(e.bits_per_byte),
        "noise_floor": of_floor(e.floor, e.divergence),
        "statistics": [s._asdict() for s in e.statistics],
        "calibration_overlap": max((o.share for o in e.overlaps), default=None),
        "calibration": [vars(o) for o in e.overlaps],
        "attribution": [{**vars(a), "divergence": of_interval(a.divergence)} for a in e.attribution],
        "warnings": list(e.warnings),
        "bootstrap": {"resamples": DRAWS, "seed": SEED},
    } | (compounding.as_json(e.compounding) if e.compounding else {})


def of_interval(i: Interval) -> dict[str, Any]:
    """`low` and `high` are None where there are fewer `clusters` than an interval needs."""
    return {"mean": i.estimate, "low": i.low, "high": i.high, "clusters": i.clusters, "of": i.of,
            "confidence": i.level, "method": i.method}  # fmt: skip


def of_floor(floor: NoiseFloor | None, divergence: Interval) -> dict[str, Any] | None:
    if floor is None:
        return None
    return {
        "kl_divergence": floor.kl_divergence,
        "same_top1": floor.same_top1,
        "variations": [vars(v) for v in floor.variations],
        "floors_above": floor.above(divergence.estimate),
        "distinguishable": floor.distinguishable(divergence),
        "verdict": floor.describe(divergence),
    }


def words(e: Evaluation) -> list[str]:
    """The verdict, in sentences that the intervals carry."""
    d, found = e.divergence, []
    where = f" ({d.ends[0]:.5f} to {d.ends[1]:.5f})" if d.ends else f" (too few {d.of} for an interval)"
    standing = f", {e.floor.describe(d)}" if e.floor else ""
    found.append(f"KL divergence from the reference: {d.estimate:.5f} nats{where}{standing}.")
    f = e.flips
    changed, lost, won = (_percent(i.estimate) for i in (f.changed, f.right_to_wrong, f.wrong_to_right))
    found.append(
        f"It chooses another token {changed} of the time: {lost} turn from right to wrong, {won} from wrong to right."
    )
    r = e.log_perplexity_ratio
    if r.ends is None or r.ends[0] <= 0 <= r.ends[1]:
        found.append("Its perplexity cannot be told from the reference's.")
    else:
        higher = "higher" if r.estimate > 0 else "lower"
        ends = sorted(abs(math.expm1(x)) for x in r.ends)
        found.append(f"Its perplexity is {_percent(abs(math.expm1(r.estimate)))} {higher} ({_percent(ends[0])} to "
                     f"{_percent(ends[1])}).")  # fmt: skip
    return found + _many_steps(e) + _sources(e)


def _many_steps(e: Evaluation) -> list[str]:
    if e.compounding is None:
        return []
    s, found = e.compounding.first_divergence.survival, []
    seen = f"{s.events} of {s.runs} greedy texts of up to {s.horizon} tokens part from the reference's"
    if math.isfinite(s.median.estimate):
        span = ""
        if s.median.ends:
            low, high = (f"{x:.0f}" if math.isfinite(x) else f"more than {s.horizon}" for x in s.median.ends)
            span = f" ({low} to {high})"
        found.append(f"{seen}, half of them within {s.median.estimate:.0f} tokens{span}.")
    else:
        found.append(f"{seen}; half of them do not within what was looked at.")
    if s.above_floor is not None and not s.above_floor.distinguishable:
        found.append("That is not distinguishable from how the reference parts from itself.")
    return found


def _sources(e: Evaluation) -> list[str]:
    tensors = [a for a in e.attribution if a.kind == "tensors"]
    if not tensors:
        return []
    sources = ", ".join(f"{a.name} {a.divergence.estimate:.5f}" for a in e.attribution if a.kind == "source")
    most = tensors[0]
    return [
        f"Alone, the sources of error come to: {sources} nats.",
        f"Of its tensors, {most.name} ({most.bytes / 1e6:.1f} MB) do most: {most.divergence.estimate:.5f} nats alone.",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
