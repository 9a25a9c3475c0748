"""A reference, two of its quantizations, and prompts short enough for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import bitwright as bw
from bitwright.engine import Engine
from bitwright.measure.horizon.prompts import Item

NOUNS = ("boy", "girl", "cat", "bird", "fish", "tree", "ball", "car", "house", "bear", "frog", "cake")
STARTS = (
    "Once upon a time there was a",
    "One day, Lily",
    "The dog ran to the",
    "Tom and his mum",
    "It was a sunny day",
)


@pytest.fixture(scope="session")
def models(quantized_files: dict[str, Path]) -> dict[str, Engine]:
    return {name: bw.load(file, context=128) for name, file in quantized_files.items()}


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """Twelve prompts of each of two kinds."""
    return [Item(kind, n, (f"{STARTS[n % 5]} {NOUNS[n]}",)) for kind in ("code", "scripts") for n in range(12)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which references are cached."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
