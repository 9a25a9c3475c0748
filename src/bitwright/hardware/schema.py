"""The part of JSON Schema that this package's data needs, and strict reading of JSON files.

Every finding is a FileFormatError that names the file, the place in it, what was expected there and what was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from bitwright.errors import FileFormatError

MAX_BYTES = 8 << 20  # the data that comes with bitwright takes a fortieth of this
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
_CHECKED = {"type", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "required", "properties"} | {
    *("additionalProperties", "propertyNames", "items", "title", "$schema")
}


@cache
def data(name: str) -> Any:
    """The packaged file `name`, parsed once: callers change nothing in it."""
    return parse(resources.files("bitwright.hardware").joinpath("data", name).read_bytes(), name)


def read(path: Path) -> Any:
    """The user's JSON file, parsed. Raises FileFormatError if it is not JSON, OSError if it cannot be read."""
    with path.open("rb") as file:
        return parse(file.read(MAX_BYTES + 1), str(path))


def parse(text: bytes, where: str) -> Any:
    """Parse strict JSON: UTF-8, no repeated key in an object, no NaN or infinity."""
    if len(text) > MAX_BYTES:
        raise FileFormatError(where, None, f"at most {MAX_BYTES} bytes of JSON", "more")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise FileFormatError(where, None, "each key once in an object", f"{twice!r} twice")
        return found

    def constant(name: str) -> float:
        raise FileFormatError(where, None, "finite numbers", name)

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise FileFormatError(where, error.start, "UTF-8 text", f"byte 0x{text[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        raise FileFormatError(where, error.pos, "JSON", error.msg) from None
    except (RecursionError, ValueError):
        raise FileFormatError(where, None, "JSON", "objects nested too deeply, or too many digits") from None


def schema(name: str) -> Mapping[str, Any]:
    """The JSON schema of that name."""
    found: dict[str, Any] = data(f"{name}.schema.json")
    return found


def check(value: Any, schema: Mapping[str, Any], file: str, place: str) -> None:
    """Raise FileFormatError unless `value`, found at `place` of `file`, is what the schema says.

    Knows the words in `_CHECKED`, patterns as matches of the whole string; raises ValueError for a schema with others.
    """
    if unknown := set(schema) - _CHECKED:
        raise ValueError(f"a schema with {unknown}")

    def fail(expected: str, got: Any = value) -> None:
        raise FileFormatError(file, None, f"{place} to be {expected}", _short(got))

    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if types and not any(_is(value, t) for t in types):
        fail(f"{' or '.join(types)}")
    if "enum" in schema and value not in schema["enum"]:
        fail(f"one of {', '.join(schema['enum'])}")
    if isinstance(value, str) and not re.fullmatch(schema.get("pattern", "(?s).*"), value):
        fail(f"text like {schema['pattern']}")
    if _is(value, "number"):
        if value <= schema.get("exclusiveMinimum", value - 1):
            fail(f"above {schema['exclusiveMinimum']}")
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            fail(f"from {schema.get('minimum', 0)} to {schema.get('maximum', 'any')}")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            check(item, schema["items"], file, f"{place}[{i}]")
    if isinstance(value, dict):
        _check_object(value, schema, file, place)


def _check_object(value: dict[str, Any], schema: Mapping[str, Any], file: str, place: str) -> None:
    for key in schema.get("required", ()):
        if key not in value:
            got = ", ".join(map(_short, value)) or "nothing"
            raise FileFormatError(file, None, f"{place} to have {key}", f"only {got}")
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for key, item in value.items():
        if "propertyNames" in schema:
            check(key, schema["propertyNames"], file, f"the name of {place}.{_short(key)}")
        if key not in known and others is False:
            raise FileFormatError(file, None, f"{place} to have no other keys than {', '.join(known)}", _short(key))
        check(item, known.get(key, others), file, f"{place}.{key if key.isidentifier() else _short(key)}")


def _is(value: Any, type: str) -> bool:
    if type in ("number", "integer"):
        return isinstance(value, (int, float) if type == "number" else int) and not isinstance(value, bool)
    return isinstance(value, _TYPES[type])


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
