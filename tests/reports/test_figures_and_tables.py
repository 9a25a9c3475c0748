"""Sentences and drawings of a page, from known figures."""

from __future__ import annotations

import re
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


def of_models(*models: tuple[str, float, float], **more: object) -> list[dict]:
    """(name, MB, divergence) as the view of a comparison has them; the reference has none."""
    return [{"model": {"name": name, "file_bytes": mb * 1e6, "bits_per_weight": 4.5}, "is_reference": kl == 0,
             "kl_divergence": {"mean": kl, "low": 0.8 * kl, "high": 1.2 * kl},
             "bits_per_byte": {"mean": 1.0, "low": None, "high": None, "of": "documents"},
             "tokens_per_second": 10, "slowest": 9, "fastest": 11, **more} for name, mb, kl in models]  # fmt: skip


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(drawn) for drawn in re.findall(r"<svg.*?</svg>", page)]


def places(drawn: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in drawn.iter("circle")]


def test_the_front_is_joined_and_others_are_not() -> None:
    models = of_models(("c", 9, 0.1), ("b", 8, 0.9), ("a", 3, 0.5))
    page = figures.front({"models": models, "measure": "KL divergence", "front": {"bytes": ["c", "a"]}}, "bytes")
    for drawn in drawings(page):
        c, _, a = places(drawn)
        (line,) = [node.get("d") for node in drawn.iter("path") if node.get("class") == "joined"]
        assert line == "M" + "L".join(f"{x},{y}" for x, y in (a, c))
        assert [t.text for t in drawn.iter("text") if t.get("class") == "number"] == ["1", "2", "3"]
    assert "<b>2</b> b: 8.0 MB, 0.90000 nats" in page


def test_the_reference_lies_on_the_axis_and_bytes_start_at_zero() -> None:
    models = of_models(("f", 98, 0), ("a", 49, 0.1))
    report = {"models": models, "measure": "KL divergence", "front": {"bytes": ["f", "a"], "speed": ["f", "a"]}}
    for frame, drawn in zip(svg.FRAMES, drawings(figures.front(report, "bytes")), strict=True):
        f, a = places(drawn)
        assert f[1] > a[1] and f[0] - frame.left == pytest.approx(2 * (a[0] - frame.left), rel=0.02)
        assert sum(p.get("class") == "whisker" for p in drawn.iter("path")) == 1
    for drawn in drawings(figures.front(report, "speed")):  # the timings of both, the interval of one
        assert sum(p.get("class") == "whisker" for p in drawn.iter("path")) == 3
    assert "<b>1</b> f: 98.0 MB, the reference" in figures.front(report, "bytes")


def test_too_few_clusters_are_null_in_the_data_and_no_band_in_the_plot() -> None:
    few, enough = (of_survival(survive(Runs([3, 5] * n, [1, 0] * n), 8)) for n in (4, 5))
    assert few["low"] is few["high"] is few["rate"]["low"] is None and few["rate"]["clusters"] == 8
    assert all(row[1:] == [None, None] for row in few["band"]) and enough["low"] == 3.0
    for found, bands in ((few, 0), (enough, 1)):
        drawn = figures.survival([{"model": {"name": "a"}, "first_divergence": found}])
        assert drawn.count('class="band') == 2 * bands and drawn.count('class="line') == 2  # wide and narrow
