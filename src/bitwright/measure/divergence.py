"""The KL divergence of a model from its original, in one call."""

from __future__ import annotations

from pathlib import Path

from bitwright.engine import Engine, load
from bitwright.measure import standard_text, windows
from bitwright.measure.next_token import score_tokens
from bitwright.measure.reference import store_reference
from bitwright.measure.suite import CHUNKS
from bitwright.progress import Progress
from bitwright.statistics.interval import Interval


def kl_divergence(
    model: Engine | str | Path,
    reference: Engine | str | Path,
    text: str | None = None,
    context: int = 512,
    chunks: int | None = None,
    progress: Progress | None = None,
) -> Interval:
    """Nats per token by which the model's predictions differ from the reference's, with the interval over documents.

    The models are engines, or what `load` takes. text: bitwright's own if not given. chunks: how many chunks of
    `context` tokens, spread over the text; 12 if not given. The reference's predictions are kept in the cache.
    Raises UsageError if the text is too short, or if the models have different tokens.
    """
    original = reference if isinstance(reference, Engine) else load(reference, context=context)
    candidate = model if isinstance(model, Engine) else load(model, context=context)
    given = standard_text.read() if text is None else text
    cut = windows.cut(original.tokenizer, given, context, chunks or CHUNKS["quick"], spread_out=True)
    scores = score_tokens(candidate, store_reference(original, cut, progress=progress), progress)
    return scores.mean(scores.divergences)
