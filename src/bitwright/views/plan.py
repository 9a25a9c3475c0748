"""A model's formats on devices: what `plan --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_model, of_row

if TYPE_CHECKING:
    from bitwright.hardware.plan import Cost, Row
    from bitwright.model.architectures.outline import Outline


def plan(outline: Outline, rows: Iterable[Row], cost: Cost | None = None) -> dict[str, Any]:
    """model (`plan_rows.of_model`), rows[`plan_rows.of_row`]."""
    return plain({"model": of_model(outline), "rows": [of_row(row, cost) for row in rows]})
