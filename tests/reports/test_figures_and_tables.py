"""Sentences and drawings of a page, from known figures."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bitwright.reports import figures, svg, tables
from bitwright.statistics.survival import Runs, survive
from bitwright.views.intervals import of_survival


def test_the_cost_of_storage_is_compared_with_the_noise_floor() -> None:
    report = {"kl_divergence": {"mean": 0.01, "storage_error": 2e-5}, "noise_floor": {"kl_divergence": 1e-4}}
    assert tables.stored(report).endswith("2.0e-05 nats: 0.20% of it, 0.2 times the noise floor of 1.0e-04.")
    assert tables.stored({**report, "noise_floor": None}).endswith("2.0e-05 nats: 0.20% of it.")
    far, near = ({**report, "noise_floor": {"kl_divergence": 2e-5 / times}} for times in (880, 88))
    assert ", far above the noise floor of 2.3e-08." in tables.stored(far)
    assert ", 88 times the noise floor of 2.3e-07." in tables.stored(near)
    assert "nothing is lost" in tables.stored({**report, "kl_divergence": {"storage_error": 0.0}})


def test_the_front_is_joined_and_others_are_not() -> None:
    sizes = [("c", 9e6, 0.1), ("b", 8e6, 0.9), ("a", 3e6, 0.5)]
    models = [{"model": {"name": name, "file_bytes": size}, "kl_divergence": {"mean": kl, "low": None, "high": None},
               "is_reference": False} for name, size, kl in sizes]  # fmt: skip
    drawn = figures.front({"models": models, "measure": "KL divergence", "front": {"bytes": ["c", "a"]}}, "bytes")
    root = ElementTree.fromstring(drawn)
    place = {p.find("title").text: f"{p.get('cx')},{p.get('cy')}" for p in root.iter("circle")}
    (line,) = [node.get("d") for node in root.iter("path") if node.get("class") == "joined"]
    assert line == f"M{place['a']}L{place['c']}"


def test_the_reference_lies_on_the_axis_and_bytes_start_at_zero() -> None:
    interval = {"mean": 0.1, "low": 0.08, "high": 0.12}
    models = [{"model": {"name": "f", "file_bytes": 98e6}, "kl_divergence": {"mean": 0, "low": 0, "high": 0},
               "is_reference": True, "tokens_per_second": 10, "slowest": 9, "fastest": 11},
              {"model": {"name": "a", "file_bytes": 49e6}, "kl_divergence": interval,
               "is_reference": False, "tokens_per_second": 20, "slowest": 15, "fastest": 21}]  # fmt: skip
    report = {"models": models, "measure": "KL divergence", "front": {"bytes": ["f", "a"], "speed": ["f", "a"]}}
    drawn = figures.front(report, "bytes")
    circles = {c.find("title").text: c for c in ElementTree.fromstring(drawn).iter("circle")}
    f, a = circles["f (the reference)"], circles["a"]
    assert float(f.get("cy")) > float(a.get("cy")) and drawn.count("whisker") == 1
    left, right = (float(c.get("cx")) - svg.LEFT for c in (a, f))
    assert right == pytest.approx(2 * left, rel=0.02)
    assert figures.front(report, "speed").count("whisker") == 3  # the timings of both, the interval of one


def test_too_few_clusters_are_null_in_the_data_and_no_band_in_the_plot() -> None:
    few, enough = (of_survival(survive(Runs([3, 5] * n, [1, 0] * n), 8)) for n in (4, 5))
    assert few["low"] is few["high"] is few["rate"]["low"] is None and few["rate"]["clusters"] == 8
    assert all(row[1:] == [None, None] for row in few["band"]) and enough["low"] == 3.0
    for found, bands in ((few, 0), (enough, 1)):
        drawn = figures.survival([{"model": {"name": "a"}, "first_divergence": found}])
        assert drawn.count('class="band') == bands and drawn.count('class="line') == 1
