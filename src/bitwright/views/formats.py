"""The number formats: what `formats --json` prints."""

from __future__ import annotations

from typing import Any

from bitwright import formats as registry
from bitwright.views.plain import plain


def formats(name: str | None = None) -> dict[str, Any]:
    """One format as `formats.describe` gives it; without a name formats[the same], families[patterns of names].

    Raises UnknownNameError for a name that no format has.
    """
    if name is not None:
        return plain(registry.describe(registry.get(name)))
    return plain({"formats": [registry.describe(f) for f in registry.all()], "families": registry.FAMILIES})
