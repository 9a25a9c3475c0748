"""The table of devices in docs/devices.md: `python -m bitwright.hardware.document docs/devices.md` rewrites it."""

from __future__ import annotations

import sys
from pathlib import Path

from bitwright.hardware.devices import Device, Rate, built_in

BEGIN, END = "<!-- devices: python -m bitwright.hardware.document -->", "<!-- end of devices -->"
SHOWN = ("fp16", "bf16", "fp8_e4m3", "mxfp4", "nvfp4", "int8", "int4")


def table() -> str:
    """A row for each device: memory, bandwidth, and what each format is multiplied as, with its peak."""
    head = ["device", "GB", "GB/s", *SHOWN]
    lines = [head, ["---", "---:", "---:", *("---" for _ in SHOWN)], *map(_row, built_in().values())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(d: Device) -> list[str]:
    memory = f"{d.memory_bytes >> 30}" if d.memory_bytes else ""
    bandwidth = f"{d.bandwidth / 1e9:g}{_mark(d, 'bandwidth')}" if d.bandwidth else "?"
    return [d.id, memory, bandwidth, *(_cell(d, format, d.compute[format]) for format in SHOWN)]


def _cell(d: Device, format: str, rate: Rate) -> str:
    peak = "?" if rate.peak is None else tera(rate.peak)
    return f"**{peak}**{_mark(d, f'compute.{format}')}" if rate.native else f"{rate.via} {peak}"


def tera(peak: float) -> str:
    """Operations per second in units of 10^12, to three digits or the whole number."""
    return f"{peak / 1e12:.0f}" if peak >= 1e14 else f"{peak / 1e12:.3g}"


def _mark(d: Device, path: str) -> str:
    return {"read": "", "computed": "ᶜ", "general knowledge": "ᵍ"}[d.standing(path)]


def written(document: str) -> str:
    """The document with the table between its markers."""
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
