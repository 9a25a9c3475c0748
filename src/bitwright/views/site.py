"""What a site of the explorer is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.inspect import inspect
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF


def site(file: GGUF, name: str, live: bool, report: bool, history: bool) -> dict[str, Any]:
    """model{name, architecture, parameters, bits_per_weight}, live (questions are answered; else what was recorded is
    shown), report and history (whether there is one)."""
    found = inspect(file)
    about = {key: found[key] for key in ("architecture", "parameters", "bits_per_weight")}
    return plain({"model": {"name": name, **about}, "live": live, "report": report, "history": history})
