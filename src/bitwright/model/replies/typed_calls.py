"""Calls whose arguments stand one by one as bare text, and become JSON by the types in the tool's schema."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

from bitwright.model.replies.parts import Arguments, Part
from bitwright.model.replies.reply import NotACall, Reading, Reply

DEEPEST = 8  # references and alternatives within each other
STRING = frozenset({"string"})


class TypedCalls(Reply):
    """Writes the arguments of such calls."""

    def _begin(self, name: str) -> None:
        super()._begin(name)
        self._argued, self._schema = False, self._schemas.get(name, {})

    def _argument(self, key: str, *ends: str, types: frozenset[str] | None = None) -> Reading[None]:
        """Read the value of the argument `key` up to one of `ends`. A value that can only be a string is put out as it
        comes. types: the JSON types it may have, if the reply says so; otherwise the schema does. Raises NotACall if
        the reply ends in it."""
        properties = self._schema.get("properties")
        own = properties.get(key) if isinstance(properties, Mapping) else None
        types = json_types(own, self._schema) if types is None else types
        prefix = f"{', ' if self._argued else '{'}{json.dumps(key, ensure_ascii=False)}: "
        self._argued = True
        if types != STRING:
            text, _ = yield from self._until(*ends, most=float("inf"))
            self._argue(prefix + json_of(text, types))
        else:
            self._argue(prefix)
            yield from self._string_up_to(*ends)
        self._drop()

    def _string_up_to(self, *ends: str) -> Reading[None]:
        """Put out what comes before one of `ends` as a JSON string. Raises NotACall if the reply ends before."""
        self._argue('"')
        if not (yield from self._find(self._quoted, *ends, trim=False)):
            raise NotACall
        self._argue('"')

    def _quoted(self, text: str) -> Part:
        return Arguments(self._calls - 1, json.dumps(text, ensure_ascii=False)[1:-1])

    def _end_arguments(self) -> None:
        """The latest call has no more arguments."""
        self._argue("}" if self._argued else "{}")


def json_of(text: str, types: frozenset[str]) -> str:
    """A bare text as JSON of one of `types` (none: of any): as it is if it is JSON of such a type, otherwise as a
    string."""
    written, type = _parsed(text)
    fits = not types or type in types or (type == "integer" and "number" in types)
    return written if type not in ("", "string") and fits else json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """A value of JSON or Python as JSON; a string of what is neither."""
    written, type = _parsed(text)
    return written if type else json.dumps(text, ensure_ascii=False)


def _parsed(text: str) -> tuple[str, str]:
    """`text` as JSON and its type; "" if it is no JSON. Some templates print values, and models then write them, as
    Python does."""
    written = text.strip()
    try:
        return written, type_of(json.loads(written, parse_constant=_refuse))
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(written)
        return (json.dumps(value), type_of(value)) if isinstance(value, (bool, dict, list, NoneType)) else ("", "")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return "", ""


def type_of(value: object) -> str:
    """The JSON type of a value; a number without a fraction is an integer."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def json_types(schema: object, root: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """The JSON types that a schema allows; none if it does not say. `root`: the schema that it is a part of."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return frozenset()
    if isinstance(reference := schema.get("$ref"), str):
        return json_types(_referred(reference, root), root, depth + 1)
    types, values = schema.get("type"), schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(types, (str, list)):
        return frozenset(type for type in ([types] if isinstance(types, str) else types) if isinstance(type, str))
    if isinstance(values, list):
        return frozenset(map(type_of, values))
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(parts := schema.get(key), list):
            found = [json_types(part, root, depth + 1) for part in parts]
            if key == "allOf":
                return next(filter(None, found), frozenset())
            return frozenset().union(*found) if all(found) else frozenset()
    return frozenset()


def _referred(reference: str, root: Mapping[str, Any]) -> object:
    """What `#/$defs/NAME` means in `root`; None for other references."""
    where: object = root if reference.startswith("#/") else None
    for step in reference.removeprefix("#/").split("/"):
        where = where.get(step) if isinstance(where, Mapping) else None
    return where


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
