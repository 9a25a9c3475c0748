"""Formats that store single numbers, with what a page needs to decode and round in them: the explorer's arithmetic."""

from __future__ import annotations

from typing import Any

from bitwright import formats
from bitwright.formats.floats import ElementFormat, Exponent8
from bitwright.views.plain import plain

INTEGERS = (8, 6, 4, 3, 2)  # bits


def elements() -> dict[str, Any]:
    """formats[{name, summary, bits, kind, exponent, mantissa, bias, special}], from the widest: floats, powers of two
    without a sign (kind "exponent"), and two's complement integers."""
    floats = [f for f in formats.all() if isinstance(f, ElementFormat)]
    found = [{"name": f.name, "summary": f.summary, "bits": f.bits, "exponent": f.exponent, "mantissa": f.mantissa,
              "bias": f.bias, "special": f.special, "kind": "exponent" if isinstance(f, Exponent8) else "float"}
             for f in floats]  # fmt: skip
    found += [{"name": f"int{bits}", "summary": f"integers from -{1 << bits - 1} to {(1 << bits - 1) - 1}",
               "bits": bits, "kind": "integer", "exponent": 0, "mantissa": bits, "bias": 0, "special": ""}
              for bits in INTEGERS]  # fmt: skip
    return plain({"formats": found})
