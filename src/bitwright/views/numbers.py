"""How numbers are written: no negative zero, no small number as zero, large ones with a unit."""

from __future__ import annotations

from collections.abc import Sequence


def fixed(value: float, digits: int) -> str:
    """A number with that many decimals; what rounds to zero has no sign."""
    return f"{value:z.{digits}f}"


def nats(value: float) -> str:
    """A divergence in nats: five decimals, or two digits and a power of ten where decimals show too few."""
    if value == 0:
        return "0"
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.5f}"


def human_bytes(count: float) -> str:
    """98362432 -> '98.4 MB' (decimal units, as hubs and disks count)."""
    return _scaled(count, ["B", "kB", "MB", "GB", "TB"])


def human_rate(value: float) -> str:
    """26.41 -> '26.4', 1081.3 -> '1081': three digits, or all of a whole number."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def human_count(count: float) -> str:
    """134515008 -> '134.5 M'."""
    return _scaled(count, ["", "k", "M", "G", "T"]).rstrip()


def _scaled(count: float, units: Sequence[str]) -> str:
    power = 0
    while abs(count) >= 999.95 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f} {units[0]}" if power == 0 else f"{count:.1f} {units[power]}"
