"""Plots: marks are in the right places, and values that cannot be drawn are left out."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from bitwright.reports import svg
from bitwright.reports.svg import Axis, Series


def test_axes_have_round_ticks() -> None:
    assert Axis(0, 1.03, 0, 100).ticks() == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert Axis(3, 47, 0, 100).ticks() == [10, 20, 30, 40]
    assert Axis(1e-6, 1, 0, 100, log=True).ticks() == pytest.approx([10.0**e for e in range(-6, 1)])
    assert Axis(0.1, 1, 0, 100, log=True).ticks() == pytest.approx([0.1, 0.2, 0.5, 1])
    assert Axis(1, 100, 10, 200, log=True)(10) == 110 and Axis(0, 10, 300, -200)(5) == 200
    assert Axis(5, 5, 0, 100)(5) == 50


def test_a_line_with_a_band_and_a_floor() -> None:
    drawn = svg.plot([Series("a & b", [(0, 1.0), (1, 0.5)], [0.9, 0.4], [1.0, 0.6], steps=True)], "x", "<y>", floor=0.2)
    root = ElementTree.fromstring(drawn)
    classes = [node.get("class") for node in root]
    assert "band c0" in classes and "line c0" in classes and "floor" in classes
    line = next(node.get("d") for node in root if node.get("class") == "line c0")
    corners = [tuple(map(float, pair.split(","))) for pair in line[1:].split("L")]
    assert len(corners) == 3 and corners[0][1] == corners[1][1] < corners[2][1]  # a step: across, then down


def test_non_finite_points_are_left_out() -> None:
    drawn = svg.plot([Series("a", [(0, 1.0), (1, math.nan), (2, 3.0)], [0.5, math.nan, 2], [1.5, math.nan, 4]),
                      Series("b", [(0, math.nan)])], "x", "y")  # fmt: skip
    assert "nan" not in drawn and drawn.count('class="line') == 1
    points = svg.plot([Series("a", [(1e6, 0.1)], [math.nan], [math.nan])], "x", "y", log_y=True, lines=False)
    assert "nan" not in points and "whisker" not in points and points.count("<circle") == 1


def test_long_numbers_of_an_axis_do_not_reach_its_name() -> None:
    for frame in svg.FRAMES:
        root = ElementTree.fromstring(svg.plot([Series("a", [(1, 0.0002), (2, 0.001)])], "x", "nats", frame))
        numbers = [t for t in root.iter("text") if t.get("text-anchor") == "end"]
        name = max(
            float(t.get("transform").split("(")[1].split(",")[0]) for t in root.iter("text") if t.get("transform")
        )
        assert {t.text for t in numbers} >= {"0.00025", "0.00075"}
        assert min(float(t.get("x")) - svg.DIGIT * len(t.text) for t in numbers) >= name


def test_numbers_of_points_at_one_place_all_show() -> None:
    same = [Series(str(n), [(0.2, 1.0)]) for n in range(12)] + [Series("far", [(100, 2.0)])]
    for frame in svg.FRAMES:
        drawn = svg.plot(same, "bytes", "bits", frame, lines=False, zero_x=True)
        root = ElementTree.fromstring(drawn)
        places = [
            (float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle") if c.get("r") == str(svg.RADIUS)
        ]
        assert len(places) == 13 and min(math.dist(p, q) for p, q in itertools.combinations(places, 2)) >= 18 - 0.1
        assert min(x for x, _ in places) >= frame.left + svg.RADIUS - 0.1  # not on the axis
        assert len({n.get("class") for n in root.iter("circle")}) == 12  # and no two look the same


def test_bars_are_as_long_as_their_values() -> None:
    drawn = svg.bars([("one", 1.0, 0.5, 1.5), ("two", 2.0, math.nan, math.nan)], "nats")
    one, two = map(float, re.findall(r'class="bar"[^>]* width="([\d.]+)"', drawn))
    assert two == pytest.approx(2 * one, rel=0.01) and drawn.count("whisker") == 1
    below = svg.bars([("one", 1.0, -0.5, 1.5), ("two", -0.5, math.nan, math.nan)], "nats")
    starts = [float(x) for x in re.findall(r'class="bar" x="([\d.]+)"', below)]
    zero = float(re.search(r'<text x="([\d.]+)" [^>]*>0</text>', below).group(1))
    assert starts[0] == zero > starts[1]  # bars start at zero, to either side
