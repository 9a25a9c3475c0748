"""Checks of single values in tokenizer.huggingface.json: each returns the value, or says what was expected where."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from bitwright.errors import BitwrightError, UnsupportedError

KEY = "tokenizer.huggingface.json"
LONGEST_TEXT = 64  # characters of a text that a component searches for or inserts

Check = Callable[[str, Any], Any]  # (where, value) to the checked value
Fields = Mapping[str, "Field"]


class Field(NamedTuple):
    """How a field is checked, and its value where a file leaves it out (`...`: it may not)."""

    check: Check
    default: Any = ...


def broken(where: str, expected: str, found: object) -> NoReturn:
    """Raise BitwrightError: what was expected and found at a place of the JSON."""
    place = f" at {where}" if where else ""
    raise BitwrightError(f"the file's {KEY} is broken{place}: expected {expected}, found {repr(found)[:60]}")


def known(kind: str, names: Iterable[object], supported: Collection[str]) -> None:
    """Raise UnsupportedError for the first of `names` that is not among `supported`."""
    for name in names:
        if not isinstance(name, str) or name not in supported:
            raise UnsupportedError(f"{KEY}: {kind}", repr(name)[:60], supported)


def object_(where: str, value: Any) -> dict[str, Any]:
    """A JSON object."""
    return value if isinstance(value, dict) else broken(where, "an object", value)


def list_(where: str, value: Any) -> list[Any]:
    """A JSON list."""
    return value if isinstance(value, list) else broken(where, "a list", value)


def text(where: str, value: Any) -> str:
    """A short text that is not empty."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        broken(where, f"a text of 1 to {LONGEST_TEXT} characters", value)
    return value


def character(where: str, value: Any) -> str:
    """A text of one character."""
    return value if isinstance(value, str) and len(value) == 1 else broken(where, "one character", value)


def flag(where: str, value: Any) -> bool:
    """A JSON boolean."""
    return value if isinstance(value, bool) else broken(where, "true or false", value)


def choice(values: Mapping[str, str]) -> Check:
    """A check that takes a key of `values` and returns its value."""

    def check(where: str, value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            broken(where, f"one of {', '.join(values)}", value)
        return values[value]

    return check


def nothing(where: str, value: Any) -> None:
    """Only an absent value: null, an empty text or zero."""
    if value not in (None, "", 0):
        raise UnsupportedError(f"{KEY}: {where}", repr(value)[:60], ("null",))


def checked(where: str, values: Mapping[str, Any], fields: Fields, others: tuple[str, ...]) -> dict[str, Any]:
    """The values of `fields`; `others` may be there too, and nothing else."""
    known(f"field of {where}", values, (*fields, *others))
    result = {}
    for name, (check, default) in fields.items():
        if name not in values and default is ...:
            broken(where, f"a field {name!r}", sorted(values))
        result[name] = check(f"{where}.{name}", values[name]) if name in values else default
    return result


def id_(where: str, value: Any, tokens: int) -> int:
    """A token id below `tokens`."""
    if type(value) is not int or not 0 <= value < tokens:
        broken(where, f"an id below {tokens}, the length of tokenizer.ggml.tokens", value)
    return value
