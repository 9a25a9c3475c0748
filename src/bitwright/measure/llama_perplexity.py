"""Every statistic that `llama-perplexity --kl-divergence` prints, under its names, so that figures can be compared."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bitwright.measure.next_token import Float64, TokenScores

Row = tuple[str, float, float | None]


class LlamaStatistic(NamedTuple):
    """A line of llama-perplexity's output. `error` is its standard error, as if tokens were independent, or None;
    `unit` is "" or "%"."""

    section: str
    name: str
    value: float
    error: float | None = None
    unit: str = ""


PERPLEXITY, DIVERGENCE, PROBABILITY = "Perplexity", "KL divergence", "Token probability"
QUANTILES = {"99.9%": 0.999, "99.0%": 0.99, "95.0%": 0.95, "90.0%": 0.9, "75.0%": 0.75, "Median": 0.5, "25.0%": 0.25,
             "10.0%": 0.1, "5.0%": 0.05, "1.0%": 0.01, "0.1%": 0.001}  # fmt: skip


def llama_statistics(scores: TokenScores) -> list[LlamaStatistic]:
    """What llama-perplexity prints at the end (tools/perplexity/perplexity.cpp, kl_divergence), in its order."""
    return [*_perplexities(scores), *_divergences(scores), *_probabilities(scores)]


def _perplexities(scores: TokenScores) -> list[LlamaStatistic]:
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
    return [LlamaStatistic(PERPLEXITY, *row, "%" if row[0].startswith("Cor") else "") for row in rows]


def _divergences(scores: TokenScores) -> list[LlamaStatistic]:
    values = scores.divergences.ravel()
    rows: list[Row] = [("Mean KLD", *_mean(values)), ("Maximum KLD", float(values.max()), None)]
    names = [name for name in QUANTILES if name not in ("75.0%", "25.0%")]
    rows += [(f"{name} KLD", float(np.quantile(values, QUANTILES[name])), None) for name in names]
    return [LlamaStatistic(DIVERGENCE, *row) for row in [*rows, ("Minimum KLD", float(values.min()), None)]]


def _probabilities(scores: TokenScores) -> list[LlamaStatistic]:
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
    return [LlamaStatistic(PROBABILITY, *row, "%") for row in rows]


def _mean(values: Float64) -> tuple[float, float]:
    """The mean and its standard error, as if tokens were independent."""
    return float(values.mean()), math.sqrt(values.var() / max(values.size - 1, 1))


def _covariance(a: Float64, b: Float64) -> float:
    """The covariance of the means of a and b."""
    return float((a * b).mean() - a.mean() * b.mean()) / max(a.size - 1, 1)
