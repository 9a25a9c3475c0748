"""Which models devices run: what `plan --models --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_model, of_row

if TYPE_CHECKING:
    from bitwright.hardware.plan import Row
    from bitwright.model.architectures.outline import Outline


def models(found: Iterable[tuple[Outline, Row]]) -> dict[str, Any]:
    """rows[`plan_rows.of_row` with model: `plan_rows.of_model`], from `hardware.catalogue.models`."""
    return plain({"rows": [{**of_row(row), "model": of_model(outline)} for outline, row in found]})
