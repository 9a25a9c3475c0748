"""An evaluation against a reference: what `eval --reference --json` prints and reports show."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitwright.measure.noise_floor import NoiseFloor
from bitwright.measure.suite import Evaluation
from bitwright.statistics.interval import Interval
from bitwright.statistics.resampling import DRAWS
from bitwright.statistics.studentized import SEED
from bitwright.views.compounding import compounding
from bitwright.views.headline import headline, standing
from bitwright.views.intervals import of_interval
from bitwright.views.plain import plain
from bitwright.views.verdict import verdict

SHARES = (0.001, 0.01, *(n / 20 for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)  # quantiles for a plot


def evaluation(e: Evaluation, about: dict[str, Any] | None = None) -> dict[str, Any]:
    """headline (what was lost, in one sentence), standing (the same as a key word: `views.headline`), model{name,
    sha256, file_bytes, bits_per_weight}, reference, tokens_scored, context, chunks, documents, chunks_sha256,
    perplexity and base_perplexity{mean, standard_error}, log_perplexity_ratio, kl_divergence{mean, low, high, median,
    p99, max, quantiles[[share, nats]], storage_error}, same_top1, same_top1_interval, flips{changed, right_to_wrong,
    wrong_to_right, tokens}, bits_per_byte, noise_floor{kl_divergence, same_top1, variations, floors_above,
    distinguishable, verdict}, statistics (llama-perplexity's), calibration_overlap, calibration, attribution, warnings,
    bootstrap{resamples, seed}, what the view `compounding` has; and, if `about` says how it was measured, words (the
    verdict in sentences) and about.

    Shares are 0 to 1, divergences in nats; the ends of an interval are None if there are too few clusters."""
    found = {"headline": headline(e), "standing": standing(e)} | _measures(e)
    found |= compounding(e.compounding) if e.compounding else {}
    return plain(found if about is None else found | {"words": verdict(e), "about": about})


def _measures(e: Evaluation) -> dict[str, Any]:
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
        "noise_floor": _floor(e.floor, e.divergence),
        "statistics": [s._asdict() for s in e.statistics],
        "calibration_overlap": max((o.share for o in e.overlaps), default=None),
        "calibration": [vars(o) for o in e.overlaps],
        "attribution": [{**vars(a), "divergence": of_interval(a.divergence)} for a in e.attribution],
        "warnings": e.warnings,
        "bootstrap": {"resamples": DRAWS, "seed": SEED},
    }


def _floor(floor: NoiseFloor | None, divergence: Interval) -> dict[str, Any] | None:
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
