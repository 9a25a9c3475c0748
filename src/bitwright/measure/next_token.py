"""How a candidate's predictions of single tokens differ from a reference's: every statistic that
`llama-perplexity --kl-divergence` prints, under its names, and flips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure.perplexity import scored
from bitwright.measure.softmax import negative_log_likelihoods
from bitwright.measure.windows import Windows
from bitwright.progress import Progress
from bitwright.statistics import studentized
from bitwright.statistics.interval import FEWEST, Interval

if TYPE_CHECKING:
    from bitwright.engine import Model
    from bitwright.measure.reference import Reference

Float64 = NDArray[np.float64]
Row = tuple[str, float, float | None]


@dataclass(frozen=True)
class Scores:
    """A candidate beside a reference on the scored tokens of `windows`; arrays are (chunks, scored tokens).

    `losses`, `base_losses`: negative log-likelihoods in nats, the candidate's and the reference's; `divergences`:
    KL(reference || candidate) in nats; `top`, `base_top`: the likeliest tokens. `storage_error`: the standard error
    that keeping the reference in little room adds to the mean divergence.
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
        return self.top == self.base_top

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where the candidate's likeliest token is the text's."""
        return self.top == self.windows.targets

    @property
    def base_right(self) -> NDArray[np.bool_]:
        return self.base_top == self.windows.targets

    @property
    def probability_change(self) -> Float64:
        """Of the text's own token: the candidate's probability less the reference's (llama.cpp's delta p)."""
        return np.exp(-self.losses) - np.exp(-self.base_losses)

    def mean(self, values: NDArray[np.generic]) -> Interval:
        """The mean of values (chunks, scored) with its interval, over documents, or over chunks where the text has too
        few documents."""
        clusters, of = clusters_of(self.windows)
        return studentized.mean(values, clusters, of)


def clusters_of(windows: Windows) -> tuple[NDArray[np.int64], str]:
    """What is drawn anew for error bars: the document of each scored token, or, where they are fewer than an interval
    needs, its chunk."""
    if len(np.unique(windows.documents)) >= FEWEST:
        return windows.documents, "documents"
    return np.broadcast_to(windows.places[:, None], windows.documents.shape), "chunks"


def score(model: Model, reference: Reference, progress: Progress | None = None) -> Scores:
    """Run a candidate over the reference's windows. UsageError where its vocabulary or context do not fit them."""
    windows = reference.windows
    check(model, reference)
    shape = windows.targets.shape
    losses, base_losses, divergences, variances = (np.empty(shape) for _ in range(4))
    top, base_top = (np.empty(shape, np.int32) for _ in range(2))
    session = model.session()
    for index, ids in enumerate(windows.ids):
        base, start = reference.chunk(index), 0
        base_losses[index], base_top[index] = base.losses, base.top
        for logits, targets in scored(session, ids, windows.first):
            part = np.s_[index, start : start + len(logits)]
            losses[part] = negative_log_likelihoods(logits, targets)
            top[part] = logits.argmax(1)
            divergences[part], variances[part] = base.divergence(start, logits)
            start += len(logits)
        if progress:
            progress(index + 1, len(windows), f"KL divergence {divergences[: index + 1].mean():.5f}")
    storage_error = math.sqrt(variances.sum()) / variances.size
    return Scores(windows, losses, base_losses, divergences, top, base_top, storage_error)


def check(model: Model, reference: Reference) -> None:
    """UsageError where a model cannot be measured against a reference."""
    if model.config.vocabulary != reference.vocabulary:
        raise UsageError(
            f"{model.path.name} has a vocabulary of {model.config.vocabulary}, the reference one of "
            f"{reference.vocabulary}: only models that share a tokenizer have a divergence (compare sets others side "
            "by side in bits per byte)"
        )
    if reference.windows.context > model.context:
        raise UsageError(f"chunks of {reference.windows.context} tokens do not fit a context of {model.context}")


@dataclass(frozen=True)
class Flips:
    """Shares of the scored tokens whose likeliest token changed: at all, from right to wrong, from wrong to right."""

    changed: Interval
    right_to_wrong: Interval
    wrong_to_right: Interval
    tokens: int


def flips(scores: Scores) -> Flips:
    """Where the candidate's choice is another one; accuracy hides flips that cancel out (arXiv 2407.09141)."""
    lost = scores.base_right & ~scores.right
    won = scores.right & ~scores.base_right
    return Flips(scores.mean(~scores.same_top), scores.mean(lost), scores.mean(won), lost.size)


class Statistic(NamedTuple):
    """One line as llama-perplexity prints it; `error` is its standard error of independent tokens, None where it gives
    none; `unit` is "" or "%"."""

    section: str
    name: str
    value: float
    error: float | None = None
    unit: str = ""


PERPLEXITY, DIVERGENCE, PROBABILITY = "Perplexity", "KL divergence", "Token probability"
QUANTILES = {"99.9%": 0.999, "99.0%": 0.99, "95.0%": 0.95, "90.0%": 0.9, "75.0%": 0.75, "Median": 0.5, "25.0%": 0.25,
             "10.0%": 0.1, "5.0%": 0.05, "1.0%": 0.01, "0.1%": 0.001}  # fmt: skip


def llama_cpp(scores: Scores) -> list[Statistic]:
    """What llama-perplexity prints at the end (tools/perplexity/perplexity.cpp, kl_divergence), in its order."""
    return [*_perplexities(scores), *_divergences(scores), *_probabilities(scores)]


def _perplexities(scores: Scores) -> list[Statistic]:
    own, base = scores.losses.ravel(), scores.base_losses.ravel()
    (log_own, error_own), (log_base, error_base) = _mean(own), _mean(base)
    covariance = _covariance(own, base)
    log_ratio = log_own - log_base
    log_error = math.sqrt(max(error_own**2 + error_base**2 - 2 * covariance, 0))
    q, p = math.exp(log_own), math.exp(log_base)
    difference = math.sqrt(max((q * error_own) ** 2 + (p * error_base) ** 2 - 2 * q * p * covariance, 0))
    correlation = covariance / (error_own * error_base) if error_own * error_base else math.nan
    ratio = math.exp(log_ratio)
    rows: list[Row] = [
        ("Mean PPL(Q)", q, q * error_own),
        ("Mean PPL(base)", p, p * error_base),
        ("Cor(ln(PPL(Q)), ln(PPL(base)))", 100 * correlation, None),
        ("Mean ln(PPL(Q)/PPL(base))", log_ratio, log_error),
        ("Mean PPL(Q)/PPL(base)", ratio, ratio * log_error),
        ("Mean PPL(Q)-PPL(base)", q - p, difference),
    ]
    return [Statistic(PERPLEXITY, *row, "%" if row[0].startswith("Cor") else "") for row in rows]


def _divergences(scores: Scores) -> list[Statistic]:
    values = scores.divergences.ravel()
    rows: list[Row] = [("Mean KLD", *_mean(values)), ("Maximum KLD", float(values.max()), None)]
    names = [name for name in QUANTILES if name not in ("75.0%", "25.0%")]
    rows += [(f"{name} KLD", float(np.quantile(values, QUANTILES[name])), None) for name in names]
    return [Statistic(DIVERGENCE, *row) for row in [*rows, ("Minimum KLD", float(values.min()), None)]]


def _probabilities(scores: Scores) -> list[Statistic]:
    values = 100 * scores.probability_change.ravel()
    mean_square, error = _mean(values**2)
    rms, same = math.sqrt(mean_square), float(scores.same_top.mean())
    rows: list[Row] = [("Mean Δp", *_mean(values)), ("Maximum Δp", float(values.max()), None)]
    rows += [(f"{name} Δp", float(np.quantile(values, share)), None) for name, share in QUANTILES.items()]
    rows += [
        ("Minimum Δp", float(values.min()), None),
        ("RMS Δp", rms, error / (2 * rms) if rms else 0.0),
        ("Same top p", 100 * same, 100 * math.sqrt(same * (1 - same) / max(values.size - 1, 1))),
    ]
    return [Statistic(PROBABILITY, *row, "%") for row in rows]


def _mean(values: Float64) -> tuple[float, float]:
    """The mean, and its standard error were tokens independent."""
    return float(values.mean()), math.sqrt(values.var() / max(values.size - 1, 1))


def _covariance(a: Float64, b: Float64) -> float:
    """Of the means of a and b."""
    return float((a * b).mean() - a.mean() * b.mean()) / max(a.size - 1, 1)
