"""Whether a damage label holds: what `audit --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.label import Label


def audit(claimed: Label | None, complaints: Sequence[str], report: dict[str, Any] | None) -> dict[str, Any]:
    """holds, complaints[sentences], label{the values of `io.label`} (None if the file has none), report (the view
    `evaluation`; None if the file had to be refused before measuring it)."""
    values = None if claimed is None else claimed.values
    return plain({"holds": not complaints, "complaints": complaints, "label": values, "report": report})
