"""The chat templates of a checkpoint as GGUF metadata."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bitwright.errors import FileFormatError
from bitwright.io import inputs, json_text
from bitwright.io.gguf import Typed
from bitwright.io.values import Values, described, without_nulls
from bitwright.model.chat import KEY

JINJA, JSON, MORE = "chat_template.jinja", "chat_template.json", "additional_chat_templates"
LARGEST = 1 << 24  # bytes of a template


def metadata(folder: Path, config: Values) -> tuple[dict[str, Typed], list[Path]]:
    """The templates by GGUF's keys, and the files that were read besides tokenizer_config.json, whose own template
    counts before those of files."""
    if config.has("chat_template"):
        return _keys(_named(config)), []
    if (path := folder / JINJA).is_file():
        more = sorted((folder / MORE).glob("*.jinja"))
        return _keys({"default": _text(path)} | {file.stem: _text(file) for file in more}), [path, *more]
    if (path := folder / JSON).is_file():
        values = Values(without_nulls(json_text.read(path)), path)
        return _keys(_named(values) if values.has("chat_template") else {}), [path]
    return {}, []


def _named(values: Values) -> dict[str, str]:
    """The templates by name that a file gives: one, or a list of objects with a name and a template."""
    given: Any = values.get("chat_template")
    if isinstance(given, str):
        return {"default": given}
    listed = given if isinstance(given, list) else [None]
    rows: list[Any] = [
        (row.get("name"), row.get("template")) if isinstance(row, dict) else (None, None) for row in listed
    ]
    if not all(isinstance(text, str) for row in rows for text in row):
        raise FileFormatError(values.place, None, "chat_template to be a text, or named ones", described(given))
    return dict(rows)


def _keys(templates: dict[str, str]) -> dict[str, Typed]:
    """Keys in GGUF; names hold letters and digits of ASCII there."""
    named = {re.sub("[^0-9A-Za-z]", "_", name): text for name, text in templates.items()}
    found = {KEY if name == "default" else f"{KEY}.{name}": Typed(text, "string") for name, text in named.items()}
    others = [name for name in named if name != "default"]
    return found | ({f"{KEY}s": Typed(others, "array[string]")} if others else {})


def _text(path: Path) -> str:
    return inputs.read_text(path, LARGEST, "a template")
