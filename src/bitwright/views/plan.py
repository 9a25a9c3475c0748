"""A model's formats on devices: what `plan --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bitwright.hardware.advice import advice
from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_model, of_row

if TYPE_CHECKING:
    from bitwright.hardware.plan import Cost, Row
    from bitwright.model.architectures.outline import Outline


def plan(outline: Outline, rows: Iterable[Row], cost: Cost | None = None) -> dict[str, Any]:
    """model (`plan_rows.of_model`), rows[`plan_rows.of_row`], recommended[{device, recipe, context}] (context 0: the
    smallest, which does not fit)."""
    rows = list(rows)
    devices = dict.fromkeys((row.device.id, row.device.memory_bytes) for row in rows)
    found = [advice([r for r in rows if (r.device.id, r.device.memory_bytes) == device]) for device in devices]
    recommended = [{"device": a.row.device.id, "recipe": a.row.recipe, "context": a.context} for a in found]
    return plain({"model": of_model(outline), "rows": [of_row(row, cost) for row in rows], "recommended": recommended})
