"""The devices that plans are made for: what `plan --devices --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_price

if TYPE_CHECKING:
    from bitwright.hardware.devices import Device


def devices(found: Iterable[Device]) -> dict[str, Any]:
    """devices[{id, name, vendor, kind, year, memory_bytes, bandwidth_bytes_per_second, bandwidth_standing,
    compute{format: {native, via, unit, instruction, peak_per_second, standing}}, prices[{usd, ...}], sources}].

    A standing says where a number comes from: read, computed, measured or general knowledge."""
    return plain({"devices": [_device(device) for device in found]})


def _device(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "vendor": device.vendor,
        "kind": device.kind,
        "year": device.year,
        "memory_bytes": device.memory_bytes,
        "bandwidth_bytes_per_second": device.bandwidth,
        "bandwidth_standing": device.standing("bandwidth"),
        "compute": {name: _rate(device, name) for name in device.compute},
        "prices": [of_price(price) for price in device.prices],
        "sources": device.sources,
    }


def _rate(device: Device, format: str) -> dict[str, Any]:
    rate = device.compute[format]
    return {
        "native": rate.native,
        "via": rate.via,
        "unit": rate.unit,
        "instruction": rate.instruction,
        "peak_per_second": rate.peak,
        "standing": device.standing(f"compute.{format}"),
    }
