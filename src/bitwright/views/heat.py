"""Token by token over the chunk of an evaluation that went worst: what reports show as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import log_probabilities
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.reference import ReferencePredictions
    from bitwright.measure.suite import Evaluation
    from bitwright.model.tokenizer import Tokenizer

SHOWN = 5  # likeliest tokens of both models, for every token


def heat(e: Evaluation, engine: Engine, reference: ReferencePredictions) -> dict[str, Any]:
    """chunk (its number), before (the text that leads up to it), tokens[{text, kl, candidate[[text, probability]],
    reference[[text, probability]]}]: kl in nats, the likeliest tokens first; no `reference` if its store has none.

    The candidate reads the chunk once more."""
    windows = e.scores.windows
    index = int(e.scores.divergences.mean(1).argmax())
    known = getattr(reference.chunk(index), "distributions", None)
    tokens: list[dict[str, Any]] = []
    for logits, targets in scored_logits(engine.session(), windows.ids[index], windows.first):
        for row, target in zip(logits, targets, strict=True):
            at, log_q = len(tokens), log_probabilities(row)
            own = np.argsort(-log_q, kind="stable")[:SHOWN]
            found = {"text": _text(engine.tokenizer, target), "kl": float(e.scores.divergences[index, at])}
            found["candidate"] = _likeliest(engine.tokenizer, own, log_q[own])
            if known is not None:
                log_p = known[at : at + 1].log_p[0, :SHOWN]
                found["reference"] = _likeliest(engine.tokenizer, known.ids[at, :SHOWN], log_p)
            tokens.append(found)
    before = engine.tokenizer.decode(windows.ids[index, 1 : windows.first + 1].tolist())
    return plain({"chunk": windows.places[index], "before": before, "tokens": tokens})


def _likeliest(tokenizer: Tokenizer, ids: NDArray[np.integer[Any]], log_p: NDArray[np.float64]) -> list[list[Any]]:
    return [[_text(tokenizer, id), float(np.exp(p))] for id, p in zip(ids, log_p, strict=True)]


def _text(tokenizer: Tokenizer, id: np.integer[Any]) -> str:
    return tokenizer.token_bytes(int(id)).decode("utf-8", "replace")  # `decode` takes the space off a lone token
