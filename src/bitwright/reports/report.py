"""Writing a report: the view of an evaluation or a comparison as a file of JSON, or as one page of HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bitwright.errors import UsageError
from bitwright.io import atomic
from bitwright.reports.page import page

ENDINGS = (".html", ".json")


def check_name(path: Path) -> None:
    """UsageError if a report cannot have that name, before anything is measured."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"expected a report that ends in .html or .json, got {path.name}")
    atomic.check(path)


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report (the view `evaluation` or `comparison`) in full or not at all, as the name's ending says."""
    with atomic.replacing(path) as file:
        if path.suffix.lower() == ".json":
            file.write(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False).encode())
        else:
            file.write(page(report).encode())
