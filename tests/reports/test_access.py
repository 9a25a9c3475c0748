"""A report's page can be read on a phone, by touch and keyboard, and by a screen reader, in light and in dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from reports.test_figures_and_tables import of_models

from bitwright.reports import figures, page, svg, tables, texts
from bitwright.reports.html import table
from bitwright.reports.style import STYLE
from bitwright.reports.svg import Series


def test_tables_name_themselves_their_columns_and_their_rows() -> None:
    made = table("Sizes", ["model", ">MB"], [("a & b", 3)])
    root = ElementTree.fromstring(made)
    assert root.get("role") == "region" and root.get("aria-label") == "Sizes" and root.get("tabindex") == "0"
    assert root.find(".//caption").text == "Sizes"
    assert [th.get("scope") for th in root.iter("th")] == ["col", "col", "row"]
    assert "thead" not in table("Pairs", ["", ""], [(1, 2)])


def test_wide_tables_say_that_they_scroll() -> None:
    assert 'class="hint"' in tables.ranking({"models": of_models(("a", 1, 0.1)), "measure": "KL divergence"})
    assert 'class="hint"' not in table("Sizes", ["model", ">MB"], [("a", 3)])


def test_a_plot_is_drawn_for_both_widths_and_said_in_words() -> None:
    drawn = figures.chart([Series("<a>", [(1, 0.5), (2, 0.25), (3, 0.2), (9, 0.1)])], "tokens", "share", "Caption.")
    roots = [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", drawn)]
    assert [r.get("class") for r in roots] == ["wide", "narrow"] and {r.get("role") for r in roots} == {"img"}
    assert roots[0].get("aria-label") == "share, by tokens. <a>: 0.5 at 1, 0.2 at 3, 0.1 at 9"
    bars = ElementTree.fromstring(svg.bars([("one", 1.0, 0.5, 1.5)], "nats", svg.NARROW))
    assert bars.get("aria-label") == "nats. one: 1"
    across = [float(t.get("x")) for t in bars.iter("text")]
    assert min(across) >= 0 and max(across) < svg.NARROW.width - 30  # long names lie above their bars


def test_points_and_lines_differ_by_more_than_colour() -> None:
    assert all(f".line.c{n} {{ stroke-dasharray" in STYLE for n in range(1, svg.COLORS))
    assert re.findall(r"<b>(\d)</b>", svg.legend(["a", "b"], numbered=True)) == ["1", "2"]


def test_tokens_are_reached_by_touch_and_keyboard() -> None:
    tokens = [{"text": "a", "kl": 0.5, "candidate": [["b", 0.9]]}] * 3
    shown = texts.heat({"model": {"name": "m 1.gguf"}, "heat": {"chunk": 0, "tokens": tokens}})
    assert shown.count('tabindex="0"') == shown.count('role="tooltip"') == 3
    assert '<a class="skip" href="#after-m-1-gguf">Skip the 3 tokens</a>' in shown and 'id="after-m-1-gguf"' in shown
    assert ":focus > i" in STYLE and ":hover > i" in STYLE


def test_a_warning_of_several_models_is_said_once() -> None:
    one, two = ({"model": {"name": name}, "warnings": ["low", name], "is_reference": False} for name in "ab")
    reference = {"model": {"name": "f"}, "warnings": [], "is_reference": True}
    assert page.warnings({"models": [reference, one, two]}) == ["Warning: low.", "Warning, a: a.", "Warning, b: b."]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme: int) -> None:
    """Text and marks stand out from the paper as WCAG asks: 4.5 to 1, and 3 to 1 for marks."""
    both = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[scheme]
    colors = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})\b", both))
    paper = luminance(colors["paper"])
    for name in ("ink", "soft", "mark", *(f"c{n}" for n in range(svg.COLORS))):
        lighter, darker = sorted((luminance(colors[name]), paper), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
