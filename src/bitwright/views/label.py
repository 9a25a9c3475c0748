"""A damage label that was written: what `label --json` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.label import Label


def label(written: Label, output: Path, report: dict[str, Any]) -> dict[str, Any]:
    """output, label{the values of `io.label`; divergences in nats, half_life in tokens}, report (the view
    `evaluation`)."""
    return plain({"output": output, "label": written.values, "report": report})
