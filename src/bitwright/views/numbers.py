"""How measured numbers are written: no negative zero, and no small number as zero."""

from __future__ import annotations


def fixed(value: float, digits: int) -> str:
    """A number with that many decimals; what rounds to zero has no sign."""
    return f"{value:z.{digits}f}"


def nats(value: float) -> str:
    """A divergence in nats: five decimals, or two digits and a power of ten where decimals show too few."""
    return f"{value:.1e}" if 0 < abs(value) < 1e-4 else fixed(value, 5)
