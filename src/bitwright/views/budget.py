"""What to buy for a model: what `plan --budget --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_model, of_price, of_row

if TYPE_CHECKING:
    from bitwright.hardware.devices import Price
    from bitwright.hardware.plan import Row
    from bitwright.model.architectures.outline import Outline


def budget(
    outline: Outline, usd: float, offers: Iterable[tuple[Row, Price, float]], without_price: int
) -> dict[str, Any]:
    """model (`plan_rows.of_model`), budget_usd, devices_without_price (how many were left out), rows
    [`plan_rows.of_row` with the price of the offer and tokens_per_second_per_1000_usd], from `hardware.plan.by_budget`.
    """
    rows = [
        {**of_row(row), "price": of_price(price), "tokens_per_second_per_1000_usd": gain} for row, price, gain in offers
    ]
    return plain({"model": of_model(outline), "budget_usd": usd, "devices_without_price": without_price, "rows": rows})
