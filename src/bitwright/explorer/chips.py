"""The devices whose rooflines the pages show: all that are known, and this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.explorer.subject import Subject
from bitwright.hardware import devices, machine
from bitwright.hardware.devices import THIS_MACHINE
from bitwright.views.roofline import measured_formats, roofline


def remembered(subject: Subject) -> bool:
    """Whether this machine was measured already."""
    return machine.remembered(measured_formats(subject.file))


def keys(subject: Subject) -> Sequence[str]:
    """Ids of devices; of this machine, where a reader can wait for its measurement or it is there."""
    known = [d.id for d in devices.devices().values() if d.bandwidth]
    return [*known, THIS_MACHINE] if subject.live or remembered(subject) else known


def chip(subject: Subject, id: str) -> dict[str, Any]:
    """The roofline of a device; this machine is measured if it was not."""
    if id != THIS_MACHINE:
        return roofline(subject.file, devices.devices()[id])
    found = machine.this_machine(formats=measured_formats(subject.file))
    return roofline(subject.file, found.device(), found)
