"""The values of a model file, GGUF metadata or a config.json, each checked for type and range when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bitwright.errors import FileFormatError

MAX_SIZE = 1 << 24  # no dimension of a model is larger; a file that says so is wrong
MAX_TOKENS = 1 << 31  # no context or window is longer


class Values:
    """Values by key. `prefix` precedes every key: in GGUF metadata, the architecture's name.

    Every method raises FileFormatError naming the file, the key, what was expected and what was found: for a value of
    the wrong type or out of range, and for an absent one without a default.
    """

    def __init__(self, values: Mapping[str, Any], place: object, prefix: str = "") -> None:
        """place: named in errors: a path, or the id of a published model."""
        self.values, self.place, self.prefix = values, place, prefix

    @classmethod
    def of_gguf(cls, metadata: Mapping[str, Any]) -> Values:
        """The values of the architecture that GGUF metadata names."""
        place = getattr(metadata, "path", "the metadata")
        return cls(metadata, place, cls(metadata, place).text("general.architecture", ""))

    def name(self, key: str) -> str:
        """The key as the file has it."""
        return f"{self.prefix}.{key}" if self.prefix else key

    def get(self, key: str) -> Any:
        """The value as it is, unchecked; None if it is absent."""
        return self.values.get(self.name(key))

    def has(self, key: str) -> bool:
        """Whether the file gives this value."""
        return self.name(key) in self.values

    def error(self, key: str, expected: str) -> FileFormatError:
        """The error that says what the value of `key` should have been."""
        got = self.get(key)
        found = "no such key" if not self.has(key) else " ".join(f"{type(got).__name__} {got!r}".split())[:120]
        return FileFormatError(self.place, None, f"{self.name(key)} to be {expected}", found)

    def integer(self, key: str, default: int | None = None, low: int = 0, high: int = MAX_SIZE) -> int:
        """A whole number from `low` to `high`. A list that repeats one number, with an entry per layer, counts as that
        number."""
        if default is not None and not self.has(key):
            return default
        value = self.get(key)
        if isinstance(value, list | np.ndarray) and len(value) and all(entry == value[0] for entry in value):
            value = value[0]
        if not _is_whole(value) or not low <= value <= high:
            raise self.error(key, f"a whole number from {low} to {high}")
        return int(value)

    def number(self, key: str, default: float | None = None, above: float = 0.0) -> float:
        """A finite number above `above`."""
        if default is not None and not self.has(key):
            return default
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
            raise self.error(key, f"a finite number above {above:g}")
        return float(value)

    def optional(self, key: str) -> float | None:
        """A finite number above 0, or None: an absent key and a 0 both mean that the model does not use it."""
        return self.number(key) if self.has(key) and self.get(key) != 0 else None

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = default if not self.has(key) else self.get(key)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = default if not self.has(key) else self.get(key)
        if not isinstance(value, str):
            raise self.error(key, "a string")
        return value

    def names(self, key: str, length: int) -> list[str] | None:
        """A list of `length` strings, such as the kind of each layer; None if the key is absent."""
        if not self.has(key):
            return None
        value = self.get(key)
        if not isinstance(value, list) or len(value) != length or not all(isinstance(entry, str) for entry in value):
            raise self.error(key, f"a list of {length} strings")
        return value

    def per_layer(self, key: str, layers: int, default: int | Sequence[int] | None = None, low: int = 0) -> list[int]:
        """One whole number per layer. The file holds a list of them, or one number for all layers."""
        if default is not None and not self.has(key):
            return [default] * layers if isinstance(default, int) else list(default)
        value = self.get(key)
        if not isinstance(value, list | np.ndarray):
            return [self.integer(key, low=low)] * layers
        if len(value) != layers or not all(_is_whole(entry) and low <= entry <= MAX_SIZE for entry in value):
            raise self.error(key, f"{layers} whole numbers from {low} to {MAX_SIZE}, one per layer")
        return [int(entry) for entry in value]

    def first(self, key: str, default: int) -> int:
        """A whole number; from a list, the entry of the first layer."""
        value = self.get(key)
        if isinstance(value, list | np.ndarray):
            return self.per_layer(key, len(value))[0] if len(value) else default
        return self.integer(key, default)

    def marks(self, key: str, layers: int) -> list[bool] | None:
        """True or false per layer; None if the key is absent or holds no list."""
        value = self.get(key)
        if not isinstance(value, list | np.ndarray):
            return None
        if len(value) != layers or not all(isinstance(entry, bool | np.bool_) or _is_whole(entry) for entry in value):
            raise self.error(key, f"{layers} times true or false, one per layer")
        return [bool(entry) for entry in value]

    def inner(self, key: str) -> Values:
        """The values of a nested mapping, named `key.name` in errors; empty if the key is absent."""
        value = self.get(key) if self.has(key) else {}
        if not isinstance(value, Mapping):
            raise self.error(key, "a mapping")
        prefix = self.name(key)
        return Values({f"{prefix}.{name}": entry for name, entry in without_nulls(value).items()}, self.place, prefix)


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object without the keys that are null, which in a config.json means absent."""
    return {key: value for key, value in values.items() if value is not None}


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
