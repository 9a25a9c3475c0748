"""Devices that have another number of a listed device's cores: their peaks are computed from its own.

`data/siblings.json` says which, and by what share; memory and bandwidth are their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bitwright.hardware import schema

OWN = ("prices", "driver_names", "power_watts")  # what a sibling does not share
PEAKS = ("peak", "narrow_peak", "vector_peak")


def with_siblings(listed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of devices.json, each followed by its siblings."""
    known = schema.data("siblings.json")["siblings"]
    return [made for row in listed for made in (row, *(_sibling(row, s) for s in known if s["like"] == row["id"]))]


def _sibling(base: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    share, own = row["share"], {key: value for key, value in row.items() if key not in ("like", "share")}
    kept = {key: value for key, value in base.items() if key not in OWN}
    return {
        **kept,
        "vector": {name: peak and _scaled(peak, share) for name, peak in base["vector"].items()},
        "compute": {format: _rate(rate, share) for format, rate in base["compute"].items()},
        "notes": f"Peaks are {share:g} times those of {row['like']}, by cores and clock.",
        **own,
        "sources": [*base["sources"], *own["sources"]],
    }


def _rate(rate: Mapping[str, Any], share: float) -> dict[str, Any]:
    scaled = {key: _scaled(rate[key], share) for key in PEAKS if rate.get(key)}
    return {**rate, **scaled, **({"basis": "calc"} if "basis" in rate else {})}


def _scaled(peak: float, share: float) -> float:
    return float(f"{peak * share:.4g}")
