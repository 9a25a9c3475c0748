"""Several models compared: what `compare --json` prints and reports show."""

from __future__ import annotations

from typing import Any

from bitwright.measure import comparison as measured
from bitwright.views.evaluation import evaluation
from bitwright.views.intervals import of_interval
from bitwright.views.plain import plain
from bitwright.views.ranking import headline, ranking


def comparison(c: measured.Comparison, about: dict[str, Any]) -> dict[str, Any]:
    """headline (which is best, in a sentence), measure ("KL divergence" or "bits per byte"), models[what the view
    `evaluation` has, or model{name, sha256, file_bytes, bits_per_weight} if the tokenizer differs; with is_reference,
    bits_per_byte, tokens_per_second (the median of several timings), slowest, fastest (timing, but for the extreme
    ones)], best first, the reference among them, pairs[{first, second, difference{mean, low, high}, verdict}],
    front{bytes[names], speed[names]}, words (the verdict in sentences), about (as given: how it was measured)."""
    return plain(
        {
            "headline": headline(c),
            "measure": c.measure,
            "models": [_model(x) for x in c.contenders],
            "pairs": [{**vars(p), "difference": of_interval(p.difference)} for p in c.pairs],
            "front": {"bytes": c.front_of_bytes, "speed": c.front_of_speed},
            "words": ranking(c),
            "about": about,
        }
    )


def _model(c: measured.Contender) -> dict[str, Any]:
    found = evaluation(c.evaluation) if c.evaluation else {"model": vars(c.identity)}
    return found | {
        "is_reference": c.is_reference,
        "bits_per_byte": of_interval(c.bits_per_byte),
        "tokens_per_second": c.speed,
        "slowest": c.spread[0],
        "fastest": c.spread[1],
    }
