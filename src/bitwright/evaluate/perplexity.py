"""Perplexity as llama.cpp defines it (tools/perplexity/perplexity.cpp), so that figures can be set side by side.

The text is tokenized once and cut into disjoint chunks of `context` tokens; each is read afresh, its first token
replaced by the beginning-of-text token where the model wants one. Only the second half is scored, where every token
has at least context / 2 before it: positions context // 2 to context - 2 predict the next. It is not a sliding window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError, UsageError

if TYPE_CHECKING:
    from bitwright.engine import Model, Session

LOGITS_BYTES = 64 << 20  # of logits at a time, however large the vocabulary

Progress = Callable[[float, float, str], object]


@dataclass(frozen=True)
class Perplexity:
    """exp of the mean negative log-likelihood, with the standard error of independent tokens, as llama.cpp prints it.

    `losses` (chunks, scored tokens of a chunk) are the negative log-likelihoods in nats.
    """

    context: int
    losses: NDArray[np.float64] = field(repr=False)

    @property
    def chunks(self) -> int:
        return len(self.losses)

    @property
    def tokens_scored(self) -> int:
        return self.losses.size

    @property
    def mean(self) -> float:
        return float(np.exp(self.losses.mean()))

    @property
    def standard_error(self) -> float:
        """mean * sqrt(variance of the losses / (tokens - 1)); NaN for a single token."""
        if self.tokens_scored < 2:
            return math.nan
        return self.mean * math.sqrt(self.losses.var() / (self.tokens_scored - 1))


def perplexity(
    model: Model, text: str, context: int = 512, chunks: int | None = None, progress: Progress | None = None
) -> Perplexity:
    """Perplexity of a model on a text, over all its chunks of `context` tokens or the first `chunks`.

    `progress(done, total, note)` is called after each chunk. Raises UsageError where the text is shorter than a chunk,
    BitwrightError where the model computes what is not a number.
    """
    if not 4 <= context <= model.context:
        raise UsageError(f"chunks must have 4 to {model.context} tokens (the model's context), got {context}")
    if chunks is not None and chunks < 1:
        raise UsageError(f"at least one chunk is needed, got {chunks}")
    tokenizer = model.tokenizer
    ids = np.array(tokenizer.encode(text), np.int32)
    count = len(ids) // context if chunks is None else min(chunks, len(ids) // context)
    if not count:
        raise UsageError(f"the text has {len(ids)} tokens, too few for one chunk of {context}")
    pieces = ids[: count * context].reshape(count, context)
    if tokenizer.add_bos and tokenizer.bos is not None:
        pieces[:, 0] = tokenizer.bos
    session, losses = model.session(), np.empty((count, context - 1 - context // 2))
    for index, piece in enumerate(pieces):
        losses[index] = score(session, piece, context // 2)
        if progress:
            progress(index + 1, count, f"perplexity {np.exp(losses[: index + 1].mean()):.4f}")
    return Perplexity(context, losses)


def score(session: Session, ids: NDArray[np.int32], first: int) -> NDArray[np.float64]:
    """Negative log-likelihoods of tokens first + 1 to the last, each given all before it; the session starts afresh.

    Logits are computed where they are scored only, and as many at a time as LOGITS_BYTES holds.
    """
    session.reset()
    rows = max(1, LOGITS_BYTES // (4 * session.model.config.vocabulary))
    losses, start = [], 0
    for end in [*range(first + rows, len(ids) - 1, rows), len(ids) - 1]:
        logits = session.extend(ids[start:end], range(max(first - start, 0), end - start))
        losses.append(negative_log_likelihoods(logits, ids[end - len(logits) + 1 : end + 1]))
        start = end
    return np.concatenate(losses)


def negative_log_likelihoods(logits: NDArray[np.float32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    """-log softmax(logits)[target] of each row (rows, vocabulary), in float64, in nats."""
    result = np.empty(len(logits))
    for index, (row, target) in enumerate(zip(logits, targets, strict=True)):
        peak = float(row.max())
        if not math.isfinite(peak):
            raise BitwrightError(f"the model computed {peak} as a logit: its weights are damaged")
        below = row.astype(np.float64) - peak
        result[index] = math.log(np.exp(below).sum()) - below[target]
    return result
