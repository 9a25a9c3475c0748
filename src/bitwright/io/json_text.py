"""JSON from strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bitwright.errors import FileFormatError
from bitwright.io import inputs
from bitwright.io.values import described

LARGEST = 1 << 28  # bytes of a file; tokenizers have some ten million


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


def read(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. FileFormatError if it holds something else, BitwrightError if it cannot be
    read."""
    value = parse(inputs.read(path, LARGEST, "a JSON text"), path)
    if not isinstance(value, dict):
        raise FileFormatError(path, None, "a JSON object", described(value))
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:60]!r} twice")
        found[name] = value
    return found
