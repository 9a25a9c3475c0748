"""A model run over token ids, with logits only where they are scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.softmax import negative_log_likelihoods

if TYPE_CHECKING:
    from bitwright.engine import Session

LOGITS_BYTES = 64 << 20  # of logits at a time, for any vocabulary


def token_losses(session: Session, ids: NDArray[np.int32], first: int) -> NDArray[np.float64]:
    """Negative log-likelihoods in nats of tokens first + 1 to the last, each given all tokens before it; the session is
    reset."""
    return np.concatenate([negative_log_likelihoods(*part) for part in scored_logits(session, ids, first)])


def scored_logits(
    session: Session, ids: NDArray[np.int32], first: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32]]]:
    """Logits (n, vocabulary) that predict tokens first + 1 to the last, and those tokens (n,), slice by slice; the
    session is reset.

    Only logits that are scored are computed, at most LOGITS_BYTES of them at a time.
    """
    session.reset()
    rows, start = max(1, LOGITS_BYTES // (4 * session.model.config.vocabulary)), 0
    for end in [*range(first + rows, len(ids) - 1, rows), len(ids) - 1]:
        logits = session.extend(ids[start:end], range(max(first - start, 0), end - start))
        yield logits, ids[end - len(logits) + 1 : end + 1]
        start = end
