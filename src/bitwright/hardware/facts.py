"""The values of a config.json, each checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bitwright.errors import FileFormatError

MAX_SIZE = 1 << 31  # no dimension of a model is larger; a file that says so is wrong


class Facts:
    """config.json of a model; where it describes a vision model too, its language part (`text_config`)."""

    def __init__(self, values: Mapping[str, Any], place: object) -> None:
        """place: what to name in errors: a path, or the id of a built-in shape."""
        inner = values.get("text_config")
        self.values = {**values, **inner} if isinstance(inner, Mapping) else dict(values)
        self.place = place

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None, low: int = 0) -> int:
        """A whole number; FileFormatError where it is none, or missing and there is no default."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_SIZE:
            raise self.error(f"{key} to be a whole number from {low} to {MAX_SIZE}", value)
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        return value if isinstance(value, bool) else self._fail(f"{key} to be true or false", value)

    def text(self, key: str, default: str = "") -> str:
        value = self.values.get(key)
        if value is None:
            return default
        return value if isinstance(value, str) else self._fail(f"{key} to be a string", value)

    def names(self, key: str, length: int) -> list[str] | None:
        """A list of `length` strings, such as the kind of each layer; None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != length or not all(isinstance(v, str) for v in value):
            raise self.error(f"{key} to be a list of {length} strings", value)
        return value

    def inner(self, key: str) -> Facts:
        """A mapping inside, empty where there is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self.error(f"{key} to be a mapping", value)
        return Facts(value or {}, self.place)

    def error(self, expected: str, got: object) -> FileFormatError:
        return FileFormatError(self.place, None, expected, "nothing" if got is None else f"{got!r}"[:80])

    def _fail(self, expected: str, got: object) -> Any:
        raise self.error(expected, got)
