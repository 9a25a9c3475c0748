"""Perplexity as llama.cpp defines it (tools/perplexity/perplexity.cpp), so that figures can be compared.

The text is cut into disjoint chunks and the second half of each is scored, so that every scored token has at least
context / 2 tokens before it (see `windows`). There is no sliding window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure.scoring import token_losses
from bitwright.measure.windows import cut
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine


@dataclass(frozen=True, repr=False)
class Perplexity:
    """exp of the mean negative log-likelihood, with the standard error of independent tokens, as llama.cpp prints it.

    `losses` (chunks, scored tokens of a chunk) are the negative log-likelihoods in nats.
    """

    context: int
    losses: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<Perplexity {self.mean:.4f} ± {self.standard_error:.4f} over {self.tokens_scored} tokens>"

    @property
    def chunks(self) -> int:
        """Number of chunks scored."""
        return len(self.losses)

    @property
    def tokens_scored(self) -> int:
        """Number of tokens scored."""
        return self.losses.size

    @property
    def mean(self) -> float:
        """The perplexity: exp of the mean loss."""
        return float(np.exp(self.losses.mean()))

    @property
    def standard_error(self) -> float:
        """mean * sqrt(variance of the losses / (tokens - 1)); NaN for a single token."""
        if self.tokens_scored < 2:
            return math.nan
        return self.mean * math.sqrt(self.losses.var() / (self.tokens_scored - 1))


def perplexity(
    engine: Engine, text: str, context: int = 512, chunks: int | None = None, progress: Progress | None = None
) -> Perplexity:
    """Perplexity of a model on a text, over all its chunks of `context` tokens or the first `chunks`.

    `progress(done, total, note)` is called after each chunk. Raises UsageError if the text is shorter than a chunk,
    BitwrightError if the model computes NaN or infinity.
    """
    if not 4 <= context <= engine.context:
        raise UsageError(f"chunks must have 4 to {engine.context} tokens (the model's context), got {context}")
    windows = cut(engine.tokenizer, text, context, chunks)
    session, losses = engine.session(), np.empty(windows.targets.shape)
    for index, piece in enumerate(windows.ids):
        losses[index] = token_losses(session, piece, windows.first)
        if progress:
            progress(index + 1, len(windows), f"perplexity {np.exp(losses[: index + 1].mean()):.4f}")
    return Perplexity(context, losses)
