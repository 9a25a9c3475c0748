"""Sizes of files that others published, all of them: benchmarks/data/published_sizes.json."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import sizes

ROWS = sizes.rows()
NAMES = [f"{row['model']} {row['quant']} {row['publisher'][:12]}" for row in ROWS]


@pytest.fixture(scope="module")
def compared() -> list[sizes.Comparison]:
    return [sizes.compare(row) for row in ROWS]


@pytest.mark.parametrize("number", range(len(ROWS)), ids=NAMES)
def test_within_half_a_percent(number: int, compared: list[sizes.Comparison]) -> None:
    """The error counts from the range that rounds to the published figure: 26.9 GB begins at 26.85."""
    assert compared[number].miss <= 0.005


def test_nearly_all_are_inside_the_rounding(compared: list[sizes.Comparison]) -> None:
    assert len(compared) == 187
    assert sum(c.miss > 2e-4 for c in compared) <= 2
    assert [c.miss for c in compared if c.low == c.high] == pytest.approx(
        [0] * 21, abs=2e-5
    )  # exact except for the tokenizer


def test_the_docs_table_is_what_is_computed(compared: list[sizes.Comparison]) -> None:
    page = Path(sizes.__file__).parent / "results/published-sizes.md"
    assert page.read_text(encoding="utf-8").endswith("\n".join(sizes.table(compared)) + "\n")


def test_importance_changes_the_sizes() -> None:
    """Without it some recipes choose larger formats: the same test would fail."""
    row = next(r for r in ROWS if r["quant"] == "IQ3_XXS" and r["publisher"] == "bartowski")
    assert sizes.compare({**row, "importance": False}).miss > 0.03
