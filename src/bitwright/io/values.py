"""The values of a stranger's file, GGUF metadata or a config.json, each checked for type and range when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import FileFormatError
from bitwright.kernels.strings import Strings

MAX_SIZE = 1 << 24  # no dimension of a model is larger; a file that says so is wrong
MAX_TOKENS = 1 << 31  # no context or window is longer
LEAST, MOST = 1e-30, 1e30  # of numbers: their products and reciprocals, too, are float32 numbers
FIRST, LONG = 3, 40  # elements of an array, characters of a string, that an error shows
ABSENT = "no such key"


class Values:
    """Values by key. `prefix` precedes every key: in GGUF metadata, the architecture's name.

    Every method raises FileFormatError naming the file, the key, what was expected and what was found: for a value of
    the wrong type or out of range, and for an absent one without a default.
    """

    def __init__(self, values: Mapping[str, Any], place: object = None, prefix: str = "") -> None:
        """place: named in errors: a path, or the id of a published model; by default the file of the metadata."""
        self.values, self.prefix = values, prefix
        self.place = getattr(values, "path", "the metadata") if place is None else place

    @classmethod
    def of_gguf(cls, metadata: Mapping[str, Any]) -> Values:
        """The values of the architecture that GGUF metadata names."""
        return cls(metadata, prefix=cls(metadata).text("general.architecture", ""))

    def name(self, key: str) -> str:
        """The key as the file has it."""
        return f"{self.prefix}.{key}" if self.prefix else key

    def get(self, key: str) -> Any:
        """The value as it is, unchecked; None if it is absent."""
        return self.values.get(self.name(key))

    def has(self, key: str) -> bool:
        """Whether the file gives this value."""
        return self.name(key) in self.values

    def found(self, key: str) -> str:
        """The type and value of `key` in words: `string 'yarn'`, `array of 2 uint32: 4, 0`, `no such key`."""
        name = self.name(key)
        if name not in self.values:
            return ABSENT
        value_type = getattr(self.values, "value_type", None)  # which GGUF metadata has
        return described(self.values[name], value_type(name) if value_type else "")

    def error(self, key: str, expected: str) -> FileFormatError:
        """The error that says what the value of `key` should have been."""
        return FileFormatError(self.place, None, f"{self.name(key)} to be {expected}", self.found(key))

    def integer(self, key: str, default: int | None = None, low: int = 0, high: int = MAX_SIZE) -> int:
        """A whole number from `low` to `high`. A list that repeats one number, with an entry per layer, counts as that
        number."""
        if default is not None and not self.has(key):
            return default
        value = self.get(key)
        if _is_list(value) and len(value) and all(_is_whole(entry) and entry == value[0] for entry in value):
            value = value[0]
        if not _is_whole(value) or not low <= value <= high:
            raise self.error(key, f"a whole number from {low} to {high}")
        return int(value)

    def number(self, key: str, default: float | None = None, low: float = LEAST, high: float = MOST) -> float:
        """A number from `low` to `high`."""
        if default is not None and not self.has(key):
            return default
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def measured(self, key: str) -> float:
        """A result: any float, NaN and infinity included."""
        if not isinstance(value := self.get(key), float):
            raise self.error(key, "a float")
        return value

    def optional(self, key: str) -> float | None:
        """A positive number, or None: an absent key and a 0 both mean that the model does not use it."""
        value = self.get(key)
        return None if not self.has(key) or (type(value) in (int, float) and value == 0) else self.number(key)

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

    def strings(self, key: str, default: Sequence[str] | None = None) -> list[str]:
        """An array of strings."""
        value = default if default is not None and not self.has(key) else self.get(key)
        if not isinstance(value, list | tuple) or not all(issubclass(kind, str) for kind in set(map(type, value))):
            raise self.error(key, "an array of strings")
        return list(value)

    def table(self, key: str) -> Strings:
        """An array of strings, decoded when asked for."""
        undecoded = getattr(self.values, "table", None)  # which GGUF metadata has
        if undecoded and (found := undecoded(self.name(key))) is not None:
            return cast(Strings, found)
        try:
            return Strings.of(self.strings(key))
        except UnicodeEncodeError:
            raise self.error(key, "an array of strings of Unicode") from None

    def numbers(self, key: str, length: int | None = None, whole: bool = False) -> NDArray[Any]:
        """An array of numbers, of whole ones if `whole`; of this length, if one is given."""
        value = self.get(key)
        array = np.asarray(value) if _is_flat(value) else np.empty(0, object)
        kinds = "iu" if whole else "iuf"
        if not _is_flat(value) or (array.size and array.dtype.kind not in kinds) or length not in (None, len(array)):
            count = "" if length is None else f"{length} "
            raise self.error(key, f"an array of {count}{'whole ' if whole else ''}numbers")
        return array

    def names(self, key: str, length: int) -> list[str] | None:
        """A list of `length` strings, such as the kind of each layer; None if the key is absent."""
        if not self.has(key):
            return None
        value = self.get(key)
        if not isinstance(value, list) or len(value) != length or not all(isinstance(entry, str) for entry in value):
            raise self.error(key, f"an array of {length} strings")
        return value

    def per_layer(self, key: str, layers: int, default: int | Sequence[int] | None = None, low: int = 0) -> list[int]:
        """One whole number per layer. The file holds a list of them, or one number for all layers."""
        if default is not None and not self.has(key):
            return [default] * layers if isinstance(default, int) else list(default)
        value = self.get(key)
        if not _is_list(value):
            return [self.integer(key, low=low)] * layers
        if len(value) != layers or not all(_is_whole(entry) and low <= entry <= MAX_SIZE for entry in value):
            raise self.error(key, f"{layers} whole numbers from {low} to {MAX_SIZE}, one per layer")
        return [int(entry) for entry in value]

    def first(self, key: str, default: int) -> int:
        """A whole number; from a list, the entry of the first layer."""
        value = self.get(key)
        if _is_list(value):
            return self.per_layer(key, len(value))[0] if len(value) else default
        return self.integer(key, default)

    def marks(self, key: str, layers: int) -> list[bool] | None:
        """True or false per layer; None if the key is absent or holds no list."""
        value = self.get(key)
        if not _is_list(value):
            return None
        if len(value) != layers or not all(isinstance(entry, bool | np.bool_) or _is_whole(entry) for entry in value):
            raise self.error(key, f"{layers} times true or false, one per layer")
        return [bool(entry) for entry in value]

    def inner(self, key: str) -> Values:
        """The values of a nested mapping, named `key.name` in errors; empty if the key is absent."""
        value = self.get(key) if self.has(key) else {}
        if not isinstance(value, Mapping):
            raise self.error(key, "an object")
        prefix = self.name(key)
        return Values({f"{prefix}.{name}": entry for name, entry in without_nulls(value).items()}, self.place, prefix)


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object without the keys that are null, which in a config.json means absent."""
    return {key: value for key, value in values.items() if value is not None}


def described(value: Any, type: str = "") -> str:
    """A value in words, by the names of GGUF's types and of JSON's."""
    if _is_list(value):
        kind = type.removeprefix("array[").removesuffix("]") or (_kind(value[0]) if len(value) else "")
        shown = [str(_plain(entry)) for entry in value[:FIRST]] + ["..."] * (len(value) > FIRST)
        return f"array of {len(value)} {kind}: {', '.join(shown)}" if len(value) else "array of no elements"
    return f"{type or _kind(value)} {_plain(value)}".rstrip()


def _kind(value: Any) -> str:
    if isinstance(value, np.generic):
        return value.dtype.name
    kinds: dict[Any, str] = {bool: "bool", int: "integer", float: "number", str: "string"}
    return kinds.get(type(value), "array" if _is_list(value) else "null" if value is None else "object")


def _plain(value: Any) -> str:
    """A scalar as an error shows it, without control characters; nothing for what has parts."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return repr(value if len(value) <= LONG else value[:LONG] + "...")
    return str(value)[:LONG] if isinstance(value, bool | int | float) else ""


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _is_flat(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (_is_list(value) and all(type(v) in (int, float) for v in value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
