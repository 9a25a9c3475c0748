"""Settings put into a client's file: what else is in it stays, comments too, or nothing is changed.

JSON is parsed and written anew, in the file's own indentation and after the comments that it begins with. YAML and
TOML are edited line by line where settings are plain values, so that comments stay; other YAML is written anew if it
has no comments. Whatever was done, the result is parsed again and must say what the file said, with the settings.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from bitwright.errors import BitwrightError

Settings = dict[str, Any]
HEADER = re.compile(r"\s*\[")  # of a table in TOML
PREFACE = re.compile(r"(?:[ \t]*(?://.*)?\n)*")  # comments before JSON, as Zed's own file begins with
COMMA = re.compile(
    r'("(?:[^"\\]|\\.)*")|(?<=[^\s{\[,:]),(?=\s*[}\]])'
)  # a string of JSON, or a comma after the last value


class CannotMergeError(BitwrightError):
    """A file whose settings can only be changed by hand."""


@dataclass(frozen=True)
class Format:
    """How a kind of file is read, written anew, and edited."""

    parse: Callable[[str], Any]
    write: Callable[[Settings, str], str]
    edit: Callable[[str, Settings, Settings], str]


def merged(old: Any, new: Any) -> Any:
    """`old` with `new` in it: maps by key, lists of named entries by name; all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old[key], value) if key in old else value for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all(_name(entry) for entry in new):
        given = {_name(entry): entry for entry in new}
        kept = [merged(entry, given.pop(_name(entry))) if _name(entry) in given else entry for entry in old]
        return [*kept, *given.values()]
    return new


def _name(entry: Any) -> Any:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def merge(text: str, settings: Settings, format: str, once: frozenset[str] = frozenset()) -> str:
    """The text of a file with the settings in it. Values at the top named in `once` stay if they are there already.
    Raises CannotMergeError if something would be lost, or the file is not of its format."""
    own = FORMATS[format]
    old = _parsed(own, text, format)
    settings = {key: value for key, value in settings.items() if key not in once or key not in old}
    wanted = merged(old, settings)
    if wanted == old:
        return text
    found = own.write(wanted, text) if not text.strip() else own.edit(text, settings, wanted)
    if not _says(own, found, wanted):
        raise CannotMergeError("its settings are written in a way that cannot be changed without loss")
    return found


def _says(own: Format, text: str, wanted: Settings) -> bool:
    try:
        return bool(own.parse(text.encode().decode()) == wanted)  # halves of surrogate pairs cannot be written
    except (ValueError, yaml.YAMLError):
        return False


def written(settings: Settings, format: str) -> str:
    """A file of the settings alone."""
    return FORMATS[format].write(settings, "")


def _parsed(own: Format, text: str, format: str) -> Settings:
    try:
        found = own.parse(text) if text.strip() else {}
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise CannotMergeError(_unreadable(text, format, error)) from None
    if found is None:  # YAML of comments only
        found = {}
    if not isinstance(found, dict):
        raise CannotMergeError(f"expected settings by name, got {type(found).__name__}")
    return found


def _unreadable(text: str, format: str, error: Exception) -> str:
    if format == "json" and re.search(r"//|/\*", text[len(_preface(text)) :]):
        return "it has comments, which would be lost"
    return f"it is no {format.upper()}: {str(error).splitlines()[0]}"


def _json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a name is there twice")
        return found

    def refused(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    text = COMMA.sub(lambda found: found[1] or "", text[len(_preface(text)) :])
    return json.loads(text, object_pairs_hook=unique, parse_constant=refused)


def _preface(text: str) -> str:
    """The comments that JSON begins with."""
    found = PREFACE.match(text)
    return found[0] if found else ""


def _write_json(settings: Settings, text: str) -> str:
    indent = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return _preface(text) + json.dumps(settings, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


def _edit_json(text: str, settings: Settings, wanted: Settings) -> str:
    return _write_json(wanted, text)


def _write_yaml(settings: Settings, text: str) -> str:
    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000))


def _edit_yaml(text: str, settings: Settings, wanted: Settings) -> str:
    if all(isinstance(value, (str, int, float)) for value in settings.values()):
        lines = _lines(text)
        return "".join(_set(lines, {key: f"{key}: {_value(value)}" for key, value in settings.items()}, ":"))
    if _has_comments(text):
        raise CannotMergeError("it has comments, which would be lost")
    found = _write_yaml(wanted, text)
    if _spelled(found) != merged(_spelled(text), _spelled(_write_yaml(settings, ""))):
        raise CannotMergeError("its values would be written differently, and mean something else to other readers")
    return found


def _spelled(text: str) -> Any:
    """YAML with every value as the text it is: readers disagree about what `yes`, `010` and `12:30` mean."""
    return yaml.load(text, yaml.BaseLoader)


def _has_comments(text: str) -> bool:
    """Whether there is a comment in YAML: a # between its tokens."""
    end = 0
    for token in yaml.scan(text, yaml.SafeLoader):
        if "#" in text[end : token.start_mark.index]:
            return True
        end = max(end, token.end_mark.index)
    return "#" in text[end:]


def _write_toml(settings: Settings, text: str) -> str:
    return _edit_toml("", settings, settings)


def _edit_toml(text: str, settings: Settings, wanted: Settings) -> str:
    """TOML with plain values at the top, and tables of them two levels deep."""
    lines = _lines(text)
    first = next((at for at, line in enumerate(lines) if HEADER.match(line)), len(lines))
    plain = {key: _pair(key, value) for key, value in settings.items() if not isinstance(value, dict)}
    lines[:first] = [*_set(lines[:first], plain, "="), *["\n"] * bool(plain and not first and lines)]
    for group, tables in settings.items():
        for name, values in tables.items() if isinstance(tables, dict) else ():
            header = f"[{group}.{name}]"
            if header not in map(str.strip, lines):
                lines += ["\n"] * bool(lines) + [f"{header}\n"]
            start = [line.strip() for line in lines].index(header) + 1
            end = next((at for at in range(start, len(lines)) if HEADER.match(lines[at])), len(lines))
            lines[start:end] = _set(lines[start:end], {key: _pair(key, value) for key, value in values.items()}, "=")
    return "".join(lines)


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.removesuffix("\n").split("\n")] if text else []


def _set(lines: list[str], pairs: dict[str, str], sign: str) -> list[str]:
    """Lines of a section in which the keys have other values: each in its old place, new ones after the last line."""
    found, left = [], dict(pairs)
    for line in lines:
        key = line.partition(sign)[0].strip().strip("\"'")
        indented = line[:1].isspace()
        found.append(f"{left.pop(key)}\n" if key in left and not indented else line)
    end = max((at + 1 for at, line in enumerate(found) if line.strip()), default=0)
    return [*found[:end], *(f"{pair}\n" for pair in left.values()), *found[end:]]


def _pair(key: str, value: object) -> str:
    return f"{key} = {_value(value)}"


def _value(value: object) -> str:
    """Text or a number, as JSON writes it, which YAML and TOML read too."""
    return json.dumps(value, ensure_ascii=False)


FORMATS = {
    "json": Format(_json, _write_json, _edit_json),
    "yaml": Format(yaml.safe_load, _write_yaml, _edit_yaml),
    "toml": Format(tomllib.loads, _write_toml, _edit_toml),
}
