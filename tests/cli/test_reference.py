"""docs/cli.md is what the command line prints."""

from __future__ import annotations

from pathlib import Path

from bitwright.cli.reference import reference


def test_the_document_is_not_stale() -> None:
    document = Path(__file__).parents[2] / "docs/cli.md"
    assert document.read_text(encoding="utf-8") == reference(), "run `make docs`"
