"""JSON from strangers."""

from __future__ import annotations

import json
from typing import Any

from bitwright.errors import FileFormatError


def parse(text: str | bytes, place: object, offset: int | None = None, unique: bool = False) -> Any:
    """The value of a JSON text that begins at byte `offset` of the file `place` (None: it is the file).

    Raises FileFormatError for what is not JSON, is nested too deeply to be read, or holds a number of thousands of
    digits; with `unique`, also for an object that has a name twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique if unique else None)
    except RecursionError:
        raise FileFormatError(place, offset, "JSON", "lists or objects nested too deeply to be read") from None
    except ValueError as error:
        raise FileFormatError(place, offset, "JSON", str(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:60]!r} twice")
        found[name] = value
    return found
