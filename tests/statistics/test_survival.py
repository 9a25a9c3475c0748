"""Survival on simulated runs with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.statistics.interval import LEVEL
from bitwright.statistics.survival import Runs, bins, horizon_ratio, kaplan_meier, survive

HORIZON = 64


def simulated(random: np.random.Generator, hazard: np.ndarray, clusters: np.ndarray, spread: float = 0.0) -> Runs:
    """Runs of up to HORIZON steps with this hazard per step, multiplied per cluster by a lognormal of mean 1. A tenth
    of them end early, independently of their errors."""
    n = len(clusters)
    frailty = np.exp(spread * random.standard_normal(clusters.max() + 1) - spread**2 / 2)[clusters]
    struck = random.random((n, HORIZON)) < np.minimum(hazard * frailty[:, None], 1)
    first = np.where(struck.any(1), struck.argmax(1) + 1, HORIZON + 1)
    seen = np.where(random.random(n) < 0.1, random.integers(1, HORIZON, n), HORIZON)
    return Runs(np.minimum(first, seen), first <= seen, clusters)


def test_kaplan_and_meier_by_hand() -> None:
    """Six runs: wrong at 1, 3, 3; last seen at 2, 4, 4."""
    runs = Runs([1, 3, 3, 2, 4, 4], [1, 1, 1, 0, 0, 0])
    found = survive(runs, 4)
    np.testing.assert_allclose(found.share, [1, 5 / 6, 5 / 6, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4])
    assert (found.median.estimate, found.events, found.censored) == (3, 3, 3)
    assert found.restricted_mean.estimate == pytest.approx(1 + 5 / 6 * 2 + 5 / 12)
    assert found.rate.estimate == pytest.approx(3 / (6 + 5 + 4 + 2))
    assert [step for step, _ in found.curve()] == [0, 1, 3, 4]


def test_hazards_are_recovered() -> None:
    random, n = np.random.default_rng(1), 20000
    hazard = np.linspace(0.005, 0.06, HORIZON)
    found = survive(simulated(random, hazard, np.arange(n) // 10), HORIZON)
    alive = np.concatenate([[1], np.cumprod(1 - hazard)])
    np.testing.assert_allclose(found.share, alive, atol=4 * 0.5 / math.sqrt(n))
    for h in found.hazards:
        steps = np.arange(h.first - 1, h.last)
        expected = (hazard[steps] * alive[steps]).sum() / alive[steps].sum()
        at_risk = 0.9 * n * alive[steps].sum()  # about; a tenth of the runs end early
        assert h.rate.estimate == pytest.approx(expected, abs=4 * math.sqrt(expected / at_risk))
    assert found.median.estimate == pytest.approx(np.argmax(alive <= 0.5), abs=1)
    assert [(h.first, h.last) for h in found.hazards] == bins(HORIZON)
    assert bins(6) == [(1, 1), (2, 2), (3, 4), (5, 6)]


@pytest.mark.slow  # a thousand bootstraps; the other tests show that estimates are right
def test_intervals_have_their_coverage() -> None:
    """Of 95% intervals, 93% to 97% contain the truth, while the four runs of a document are correlated."""
    spread = 0.7
    random, draws = np.random.default_rng(2), np.random.default_rng(3)
    clusters, hazard = np.repeat(np.arange(50), 4), np.full(HORIZON, 0.02)
    many = simulated(draws, hazard, np.repeat(np.arange(100000), 4), spread)
    whole = kaplan_meier(*(t.sum(0) for t in many.tables(HORIZON)))
    truth = {"20": whole[20], "50": whole[50], "mean": whole[:-1].sum(), "median": np.argmax(whole <= 0.5)}
    held = dict.fromkeys(truth, 0)
    rounds = 1000
    for _ in range(rounds):
        found = survive(simulated(random, hazard, clusters, spread), HORIZON, draws=400)
        intervals = {
            "20": found.band[:, 20],
            "50": found.band[:, 50],
            "mean": found.restricted_mean.ends,
            "median": found.median.ends,
        }
        for name, (low, high) in intervals.items():
            held[name] += low <= truth[name] <= high
    covered = {name: count / rounds for name, count in held.items()}
    assert all(abs(share - LEVEL) <= 0.02 for share in covered.values()), covered


def test_the_noise_floor_is_subtracted() -> None:
    """Damage of 0.03 per step on top of a floor of 0.01: only the first error is visible, and the estimate is 0.03."""
    random, clusters = np.random.default_rng(4), np.arange(8000) // 4
    floor = simulated(random, np.full(HORIZON, 0.01), clusters)
    both = simulated(random, np.full(HORIZON, 1 - 0.97 * 0.99), clusters)
    found = survive(both, HORIZON, floor)
    above = found.above_floor
    assert above is not None and above.distinguishable
    assert above.floor.low < 0.01 < above.floor.high
    assert above.rate.low < 0.03 * 0.99 < above.rate.high
    np.testing.assert_allclose(above.share, 0.97 ** np.arange(HORIZON + 1), atol=0.03)
    assert above.median.estimate == pytest.approx(math.log(0.5) / math.log(0.97), abs=1.5)
    assert found.median.estimate < above.median.low
    alike = survive(simulated(random, np.full(HORIZON, 0.01), clusters), HORIZON, floor).above_floor
    assert alike is not None and not alike.distinguishable


def test_the_ratio_of_horizons() -> None:
    random, clusters = np.random.default_rng(5), np.arange(3000)
    short, long = (simulated(random, np.full(HORIZON, rate), clusters) for rate in (0.04, 0.02))
    found = horizon_ratio(short, long, HORIZON)
    assert found.low < math.log1p(-0.02) / math.log1p(-0.04) < found.high and found.high - found.low < 0.1
    assert horizon_ratio(short, short, HORIZON).estimate == pytest.approx(1)


def test_runs_without_errors() -> None:
    found = survive(Runs([8, 5, 8], [0, 0, 0]), 8)
    assert found.median.estimate == found.half_life.estimate == math.inf
    assert found.restricted_mean.estimate == 8 and found.curve() == [(0, 1.0), (8, 1.0)]
    assert found.band is None and found.median.ends is None  # three runs are too few
    with pytest.raises(UsageError, match="steps"):
        Runs([], [])
