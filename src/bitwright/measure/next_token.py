"""How a candidate's predictions of single tokens differ from a reference's: KL divergence, same top-1, flips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import negative_log_likelihoods
from bitwright.measure.windows import Windows
from bitwright.progress import Progress
from bitwright.statistics import studentized
from bitwright.statistics.interval import FEWEST, Interval

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.reference import ReferencePredictions

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class TokenScores:
    """A candidate and a reference on the scored tokens of `windows`; arrays are (chunks, scored tokens).

    `losses`, `base_losses`: negative log-likelihoods in nats, the candidate's and the reference's; `divergences`:
    KL(reference || candidate) in nats; `top`, `base_top`: the likeliest tokens. `storage_error`: the standard error
    that the condensed storage of the reference adds to the mean divergence.
    """

    windows: Windows
    losses: Float64 = field(repr=False)
    base_losses: Float64 = field(repr=False)
    divergences: Float64 = field(repr=False)
    top: NDArray[np.int32] = field(repr=False)
    base_top: NDArray[np.int32] = field(repr=False)
    storage_error: float = 0.0

    @property
    def same_top(self) -> NDArray[np.bool_]:
        """Whether candidate and reference have the same likeliest token."""
        return np.equal(self.top, self.base_top)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the candidate's likeliest token is the text's."""
        return np.equal(self.top, self.windows.targets)

    @property
    def base_right(self) -> NDArray[np.bool_]:
        """Whether the reference's likeliest token is the text's."""
        return np.equal(self.base_top, self.windows.targets)

    @property
    def probability_change(self) -> Float64:
        """The candidate's probability of the text's token minus the reference's (llama.cpp's delta p)."""
        return np.exp(-self.losses) - np.exp(-self.base_losses)

    def mean(self, values: NDArray[np.generic]) -> Interval:
        """The mean of values (chunks, scored) with its interval over documents, or over chunks if there are too few
        documents."""
        clusters, of = clusters_of(self.windows)
        return studentized.mean(values, clusters, of)


def clusters_of(windows: Windows) -> tuple[NDArray[np.int64], str]:
    """The cluster of each scored token (chunks, scored) and what clusters are: documents, or chunks if there are fewer
    documents than an interval needs."""
    if len(np.unique(windows.documents)) >= FEWEST:
        return windows.documents, "documents"
    return np.broadcast_to(windows.places[:, None], windows.documents.shape), "chunks"


def check_intervals(windows: Windows) -> None:
    """UsageError if what is scored gives no intervals."""
    count = len(np.unique(clusters_of(windows)[0]))
    if count < FEWEST:
        size = max(1, round(windows.text_bytes(FEWEST) / 1000))
        raise UsageError(f"expected a text of at least {FEWEST} chunks of {windows.context} tokens, about {size} kB, "
                         f"for intervals; got {count}: use more text or shorter chunks (-c)")  # fmt: skip


def score_tokens(engine: Engine, reference: ReferencePredictions, progress: Progress | None = None) -> TokenScores:
    """Run a candidate over the reference's windows. UsageError if its vocabulary or context does not fit them."""
    windows = reference.windows
    check(engine, reference)
    shape = windows.targets.shape
    losses, base_losses, divergences, variances = (np.empty(shape) for _ in range(4))
    top, base_top = (np.empty(shape, np.int32) for _ in range(2))
    session = engine.session()
    for index, ids in enumerate(windows.ids):
        base, start = reference.chunk(index), 0
        base_losses[index], base_top[index] = base.losses, base.top
        for logits, targets in scored_logits(session, ids, windows.first):
            part = np.s_[index, start : start + len(logits)]
            losses[part] = negative_log_likelihoods(logits, targets)
            top[part] = logits.argmax(1)
            divergences[part], variances[part] = base.divergence(start, logits)
            start += len(logits)
        if progress:
            progress(index + 1, len(windows), f"KL divergence {divergences[: index + 1].mean():.5f}")
    storage_error = math.sqrt(variances.sum()) / variances.size
    return TokenScores(windows, losses, base_losses, divergences, top, base_top, storage_error)


def check(engine: Engine, reference: ReferencePredictions) -> None:
    """UsageError if a model cannot be measured against a reference."""
    if engine.config.vocabulary != reference.vocabulary:
        raise UsageError(
            f"{engine.path.name} has a vocabulary of {engine.config.vocabulary}, the reference one of "
            f"{reference.vocabulary}: divergence needs a shared tokenizer (bitwright compare compares other models in "
            "bits per byte)"
        )
    if reference.windows.context > engine.context:
        raise UsageError(f"chunks of {reference.windows.context} tokens do not fit a context of {engine.context}")


@dataclass(frozen=True)
class Flips:
    """Shares of the scored tokens whose likeliest token changed: at all, from right to wrong, from wrong to right."""

    changed: Interval
    right_to_wrong: Interval
    wrong_to_right: Interval
    tokens: int


def flips(scores: TokenScores) -> Flips:
    """Shares of tokens that flip. Accuracy hides flips that cancel out (arXiv 2407.09141)."""
    lost = scores.base_right & ~scores.right
    won = scores.right & ~scores.base_right
    return Flips(scores.mean(~scores.same_top), scores.mean(lost), scores.mean(won), lost.size)
