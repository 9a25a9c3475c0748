"""How hardware runs a number format: what `explain --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.hardware.execution import Ability, ExecutionPath


def execution(found: Sequence[ExecutionPath]) -> dict[str, Any]:
    """Of one device: device, format, stored, bits_per_weight, loaded, converted_to, multiplied_as, accumulated_in,
    scaled, headline (what engines do), path (native, converted, int8 or unknown), chip_could (None, or format, unit,
    instruction, peak_operations_per_second of a native multiply that no engine uses), instruction, unit,
    peak_operations_per_second, alternatives, remarks, engine_uses[{engine, phase, multiplied_as, unit, what, uses_chip,
    standing, where}], decode_note, prefill_note, break_even_tokens, verified{way, peak, bandwidth}, sources. Of
    several: format, devices[the same]."""
    rows = [_row(e) for e in found]
    return plain(rows[0] if len(rows) == 1 else {"format": rows[0]["format"], "devices": rows})


def _row(e: ExecutionPath) -> dict[str, Any]:
    return {
        "device": e.device.id,
        "format": e.stored.name,
        "stored": e.stored.described(),
        "bits_per_weight": e.stored.bits,
        "loaded": e.loaded,
        "converted_to": e.converted_to,
        "multiplied_as": e.multiplied_as,
        "accumulated_in": e.accumulated_in,
        "scaled": e.scaled,
        "headline": e.headline,
        "path": e.path,
        "chip_could": e.unused and _could(e.unused),
        "instruction": e.instruction,
        "unit": e.unit,
        "peak_operations_per_second": e.peak,
        "alternatives": e.alternatives,
        "remarks": e.remarks,
        "engine_uses": [asdict(use) for use in e.uses],
        "decode_note": e.decode_note,
        "prefill_note": e.prefill_note,
        "break_even_tokens": e.break_even,
        "verified": {"way": e.way_standing, "peak": e.peak_standing, "bandwidth": e.device.standing("bandwidth")},
        "sources": e.device.sources,
    }


def _could(unused: Ability) -> dict[str, Any]:
    return {
        "format": unused.format,
        "unit": unused.unit,
        "instruction": unused.instruction,
        "peak_operations_per_second": unused.peak,
    }
