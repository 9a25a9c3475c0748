"""One model in its usual formats, on many devices and at many contexts: for the explorer's chapter on machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.hardware import plan
from bitwright.hardware.forecast import forecast
from bitwright.hardware.memory import Footprint, memory
from bitwright.hardware.speed import UnknownSpeed
from bitwright.hardware.weights import assign, bits_per_weight, file_bytes
from bitwright.views.plain import plain
from bitwright.views.plan_rows import of_model, of_price

if TYPE_CHECKING:
    from bitwright.hardware.devices import Device
    from bitwright.model.architectures.outline import Outline
    from bitwright.recipes.recipe import Assignment

CONTEXTS = tuple(1024 << n for n in range(8))


def machines(outline: Outline, devices: Iterable[Device]) -> dict[str, Any]:
    """model (`plan_rows.of_model`), contexts (tokens, as far as the model was trained), recipes[{name, bits_per_weight,
    file_bytes, weights_bytes, overhead_bytes, kv_bytes, compute_bytes (by context)}] as llama.cpp holds them,
    devices[{id, name, kind, capacity_bytes, price{usd, ...} or None, decode[recipe][context]{tokens_per_second, low,
    high} or None}]: no speed where the model does not fit or a figure of the device is missing.

    Every number is that of `plan --json` with that device, format and context.
    """
    contexts = [c for c in CONTEXTS if c <= (outline.context or CONTEXTS[-1])] or [outline.context]
    formats = plan.candidates(outline, None)
    needed = {name: [memory(outline, chosen, c) for c in contexts] for name, chosen in formats.items()}

    def decode(device: Device, name: str) -> list[dict[str, float] | None]:
        fits = [m.total <= (plan.capacity(device) or 0) for m in needed[name]]
        return [_decode(device, outline, formats[name], c) if f else None for c, f in zip(contexts, fits, strict=True)]

    return plain(
        {
            "model": of_model(outline),
            "contexts": contexts,
            "recipes": [_recipe(outline, name, formats[name], needed[name]) for name in formats],
            "devices": [_device(device) | {"decode": [decode(device, name) for name in formats]} for device in devices],
        }
    )


def _recipe(outline: Outline, name: str, chosen: Sequence[Assignment], needed: Sequence[Footprint]) -> dict[str, Any]:
    """One format, and the memory that it needs by context."""
    return {
        "name": name,
        "bits_per_weight": bits_per_weight(outline, chosen),
        "file_bytes": file_bytes(outline, chosen, None if list(chosen) == assign(outline, None) else name),
        "weights_bytes": needed[0].weights,
        "overhead_bytes": needed[0].overhead,
        "kv_bytes": [m.kv for m in needed],
        "compute_bytes": [m.compute for m in needed],
    }


def _device(device: Device) -> dict[str, Any]:
    cheapest = min(device.bought_for, key=lambda p: p.usd_low, default=None)
    room, price = plan.capacity(device), cheapest and of_price(cheapest)
    return {"id": device.id, "name": device.name, "kind": device.kind, "capacity_bytes": room, "price": price}


def _decode(device: Device, outline: Outline, chosen: Sequence[Assignment], context: int) -> dict[str, float] | None:
    """The predicted decode speed with the context half full; None if it is not known."""
    try:
        return forecast(device, outline, chosen, context // 2).decode.as_json()
    except UnknownSpeed:
        return None
