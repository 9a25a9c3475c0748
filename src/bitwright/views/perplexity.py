"""The perplexity of a model on a text: what `eval --json` prints without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.measure.perplexity import Perplexity


def perplexity(p: Perplexity, seconds: float) -> dict[str, Any]:
    """tokens_scored, perplexity{mean, standard_error}, context (tokens), chunks, seconds."""
    return plain(
        {
            "tokens_scored": p.tokens_scored,
            "perplexity": {"mean": p.mean, "standard_error": p.standard_error},
            "context": p.context,
            "chunks": p.chunks,
            "seconds": seconds,
        }
    )
