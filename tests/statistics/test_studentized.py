"""The studentized bootstrap has its stated coverage, on clustered data with known truth."""

from __future__ import annotations

import numpy as np
import pytest
from slow import slow_but

from bitwright.statistics import studentized
from bitwright.statistics.interval import FEWEST, Interval

EXPERIMENTS = 3000


def skewed(random: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sizes of documents: log-normal values, like divergences, around means that differ by document; the
    expected ratio is 1."""
    sizes = np.maximum(8, random.lognormal(np.log(100), 0.4, clusters)).astype(int)
    means = np.exp(0.3 * random.standard_normal(clusters) - 0.3**2 / 2)
    sums = [m * random.lognormal(-(1.2**2) / 2, 1.2, n).sum() for m, n in zip(means, sizes, strict=True)]
    return np.array(sums), sizes.astype(float)


def rare(random: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Flips: yes or no, with a probability around 0.05 that differs by document."""
    sizes = np.full(clusters, 100.0)
    return random.binomial(100, random.beta(2, 38, clusters)) / 0.05, sizes


def paired(random: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of two candidates that find the same documents hard; the expected difference is 1."""
    sums, sizes = skewed(random, clusters)
    return sums + random.normal(0, 3 * np.sqrt(sizes)), sizes


@pytest.mark.parametrize("data", slow_but([skewed], [skewed, rare, paired]))  # thousands of intervals
@pytest.mark.parametrize("clusters", slow_but([FEWEST], [FEWEST, 24]))
def test_coverage_within_two_percent(data, clusters, monkeypatch) -> None:
    """Chance alone moves the share of 3000 intervals by 0.4% at 95% and 0.7% at 80% (one standard deviation)."""
    monkeypatch.setattr("bitwright.statistics.resampling.DRAWS", 1000)
    random, hits = np.random.default_rng(clusters), {0.8: 0, 0.95: 0}
    for _ in range(EXPERIMENTS):
        sums, sizes = data(random, clusters)
        for level in hits:
            found = studentized.ratio(sums, sizes, level=level)
            hits[level] += found.low <= 1 <= found.high
    for level, count in hits.items():
        assert count / EXPERIMENTS == pytest.approx(level, abs=0.02)


def test_independent_tokens_would_be_far_too_sure(monkeypatch) -> None:
    """The reason to draw documents: the same values with every token as a separate cluster."""
    monkeypatch.setattr("bitwright.statistics.resampling.DRAWS", 200)
    random, tokens, documents = np.random.default_rng(1), 0, 0
    for experiment in range(100):
        means = 1 + 0.5 * random.standard_normal(30)
        values = means[:, None] + random.standard_normal((30, 20))
        own = np.repeat(np.arange(30), 20)
        documents += _covers(studentized.mean(values, own, seed=experiment), 1)
        tokens += _covers(studentized.mean(values, np.arange(values.size), seed=experiment), 1)
    assert documents > 88 and tokens < 70


def _covers(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_a_mean_over_tokens_not_over_documents() -> None:
    values, documents = np.array([1.0, 1, 1, 5]), np.array([0, 0, 0, 1])
    assert studentized.mean(values, documents) == Interval(2, None, 2, studentized.METHOD)


def test_the_same_seed_the_same_interval() -> None:
    values, documents = np.random.default_rng(0).random(400), np.arange(400) // 20
    assert studentized.mean(values, documents) == studentized.mean(values, documents)
    assert studentized.mean(values, documents) != studentized.mean(values, documents, seed=1)
    assert studentized.mean(np.ones(400), documents) == Interval(1, (1, 1), 20, studentized.METHOD)


def test_events_that_never_or_once_happened() -> None:
    documents = np.arange(1000) // 50
    assert studentized.mean(np.zeros(1000), documents) == Interval(0, (0, 0), 20, studentized.METHOD)
    once = studentized.mean(np.arange(1000) == 7, documents)
    assert once.estimate == 0.001 and np.isfinite(once.ends).all()
