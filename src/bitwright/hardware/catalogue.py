"""Which of the published models a device can run, and in which format; the largest first."""

from __future__ import annotations

from bitwright.hardware import plan
from bitwright.hardware.devices import Device
from bitwright.hardware.machine import Machine
from bitwright.hardware.memory import memory
from bitwright.hardware.plan import Ask, Row
from bitwright.hardware.weights import assign
from bitwright.model.architectures import published
from bitwright.model.architectures.outline import Outline, from_published

USEFUL = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "iq4_xs")  # best first; below four bits a smaller model loses less
READING = 5.0  # tokens per second, about as fast as people read


def models(
    device: Device, context: int, kv: str = "f16", machine: Machine | None = None, room: int | None = None
) -> list[tuple[Outline, Row]]:
    """Every published model that fits with this context (or the one it was trained on, if shorter) and decodes at
    reading speed, in the best format that allows it; the most parameters first."""
    found = []
    for name in published.models():
        outline = from_published(name)
        ask = Ask(min(context, outline.context or context), kv)
        if row := best(outline, device, ask, machine, room):
            found.append((outline, row))
    return sorted(found, key=lambda pair: -pair[0].parameters)


def formats() -> set[str]:
    """The formats of all tensors of the published models, in the recipes that `models` tries."""
    found = set()
    for outline in map(from_published, published.models()):
        known = plan.usual(outline)
        for recipe in USEFUL if "q4_k_m" in known else known:
            found |= {a.format.name for a in known.get(recipe) or assign(outline, recipe)}
    return found


def best(outline: Outline, device: Device, ask: Ask, machine: Machine | None, room: int | None) -> Row | None:
    """The first useful format that fits with headroom and decodes at reading speed. A model published in fewer than 16
    bits is taken as it is published."""
    known, total = plan.usual(outline), plan.capacity(device) if room is None else room
    for recipe in USEFUL if "q4_k_m" in known else known:
        assignments = known.get(recipe) or assign(outline, recipe)
        needed = memory(outline, assignments, ask.context, ask.kv, engine=plan.engine_of(machine)).total
        if total is None or needed > total:  # a row would say what of it fits, which takes ten times as long
            continue
        row = plan.row(outline, device, recipe, assignments, ask, machine, room=room)
        quick = row.forecast is not None and row.forecast.decode.tokens_per_second >= READING
        if not row.tight and quick:
            return row
    return None
