"""Questions about hardware in one call each, answered as the command line's --json answers them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.hardware import devices, execution
from bitwright.hardware import plan as planner
from bitwright.hardware.machine import this_machine
from bitwright.hardware.number_format import number_format
from bitwright.hardware.plan import Ask
from bitwright.io import hub
from bitwright.model.architectures import published
from bitwright.model.architectures.outline import from_published, outline
from bitwright.views.execution import execution as execution_view
from bitwright.views.plan import plan as plan_view

if TYPE_CHECKING:
    from bitwright.hardware.devices import Device
    from bitwright.hardware.machine import Machine

Names = str | Sequence[str]


def plan(
    model: str | Path, device: Names = (), recipe: Names = (), context: int | None = None, kv: str = "f16"
) -> dict[str, Any]:
    """What fits where and how fast: the view `plan`, whose `rows` have one entry for each device and recipe.

    model: a path, a name on the hub, or the id of a published shape. device: one or several; this machine if none is
    named, which is measured the first time. recipe: one or several; the usual ones if none is named. context: in
    tokens, at most 8192 if not given. Raises UnknownNameError for an unknown device, recipe or model.
    """
    shape = not hub.is_path(model) and published.find(str(model))
    found = from_published(str(model)) if shape else outline(model)
    formats = planner.candidates(found, _several(recipe))
    used = {a.format.name for assignments in formats.values() for a in assignments}
    places, machine = _places(_several(device), used)
    ask = Ask(context or min(8192, found.context or 8192), kv)
    return plan_view(found, planner.rows(found, places, formats, ask, machine, planner.quality(found)))


def explain(format: str, device: Names = ()) -> dict[str, Any]:
    """What hardware does with a number format: the view `execution`, of one device or of several.

    device: one or several; this machine if none is named, which is measured the first time.
    """
    stored = number_format(format).format
    places, machine = _places(_several(device), {stored.name} if stored else set())
    return execution_view([execution.execution_path(format, place, machine) for place in places])


def _several(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _places(names: list[str], formats: Collection[str]) -> tuple[list[Device], Machine | None]:
    """The devices of those names; this machine, with the kernels of `formats` measured, if there are none."""
    if names:
        return devices.named(names), None
    machine = this_machine(formats=formats)
    return [machine.device()], machine
