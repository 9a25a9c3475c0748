"""The JSON of `bitwright plan`; scripts rely on its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.hardware.devices import Device, Price
    from bitwright.hardware.plan import Cost, Row
    from bitwright.model.architectures.outline import Outline


def model_json(outline: Outline) -> dict[str, Any]:
    return {
        "name": outline.name,
        "architecture": outline.architecture,
        "parameters": outline.parameters,
        "active_parameters": outline.active_parameters,
        "context": outline.context,
        "source": outline.source,
        "standing": outline.standing,
    }


def row_json(row: Row, cost: Cost | None) -> dict[str, Any]:
    m, told = row.memory, row.forecast
    cheapest = min(row.device.prices, key=lambda p: p.usd_low, default=None)
    found = {
        "device": row.device.id,
        "recipe": row.recipe,
        "bits_per_weight": row.bits_per_weight,
        "context": row.ask.context,
        "weights_bytes": m.weights,
        "kv_bytes": m.kv,
        "compute_bytes": m.compute,
        "overhead_bytes": m.overhead,
        "total_bytes": m.total,
        "capacity_bytes": row.capacity,
        "left_bytes": row.left,
        "fits": row.fits,
        "verdict": row.verdict,
        "longest_context": row.longest,
        "layers_on_device": row.on_device,
        "decode": told and told.decode.as_json(),
        "prefill": told and told.prefill.as_json(),
        "multiplied_as": told and told.multiplied_as,
        "quality": row.quality,
        "price": cheapest and price_json(cheapest),
    }
    if cost is not None:
        found["usd_per_million_tokens"] = told and cost.per_million(told.decode.tokens_per_second)
    return found


def price_json(price: Price) -> dict[str, Any]:
    return {"usd": (price.usd_low + price.usd_high) / 2, **vars(price)}


def device_json(device: Device) -> dict[str, Any]:
    """What the table shows, with the standing of each number."""
    formats = {
        name: {"native": rate.native, "via": rate.via, "unit": rate.unit, "instruction": rate.instruction,
               "peak_per_second": rate.peak, "standing": device.standing(f"compute.{name}")}
        for name, rate in device.compute.items()
    }  # fmt: skip
    return {
        "id": device.id, "name": device.name, "vendor": device.vendor, "kind": device.kind, "year": device.year,
        "memory_bytes": device.memory_bytes, "bandwidth_bytes_per_second": device.bandwidth,
        "bandwidth_standing": device.standing("bandwidth"), "compute": formats,
        "prices": [price_json(p) for p in device.prices], "sources": list(device.sources),
    }  # fmt: skip
