"""Recipe files: TOML for a whole recipe, and llama.cpp's tensor-type files for its patterns.

    file_type = "q4_k_m"  # for tensors that no pattern matches; without it they keep their format
    tensors = [  # the first pattern that matches a tensor's name decides its format
      ['^output\\.weight$', 'q8_0'],
      ['ffn_down', 'q5_k'],
    ]

A tensor-type file has the lines `output\\.weight=q8_0` and `ffn_down=q5_k`, as `llama-quantize --tensor-type-file`
reads them (parse_tensor_type_file of tools/quantize/quantize.cpp): split at white space, patterns in lower case.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.io import inputs
from bitwright.io.atomic import replacing
from bitwright.recipes.pattern import Pattern
from bitwright.recipes.recipe import Recipe

SUFFIX = ".toml"
LARGEST = 4 << 20  # bytes of a file
LONGEST_LINE = 2048  # characters; tomllib takes quadratic time over a line


def find(name: str | Path) -> Recipe:
    """The recipe in a .toml file, or of one of llama.cpp's file types. Raises what `load` and `Recipe.named` raise."""
    return load(name) if str(name).lower().endswith(SUFFIX) else Recipe.named(str(name))


def dumps(recipe: Recipe) -> str:
    """The recipe as TOML, one line for each pattern."""
    lines = [f'file_type = "{recipe.file_type}"'] if recipe.file_type else []
    rows = [f"  [{_quoted(p.regex)}, {_quoted(p.format.name)}]," for p in recipe.patterns]
    return "\n".join([*lines, "tensors = [", *rows, "]", ""])


def _quoted(text: str) -> str:
    """A TOML string, without escapes if possible."""
    return f"'{text}'" if "'" not in text else json.dumps(text, ensure_ascii=False)


def save(path: str | Path, recipe: Recipe) -> None:
    """Write a .toml file, in full or not at all. Raises UsageError for another suffix."""
    check_name(path)
    _write(path, dumps(recipe))


def check_name(path: str | Path) -> None:
    """UsageError unless the name is one of a recipe file."""
    if Path(path).suffix.lower() != SUFFIX:
        raise UsageError(f"{path}: the name of a recipe file ends in {SUFFIX}")


def load(path: str | Path) -> Recipe:
    """Read a .toml file. Raises FileFormatError for one that is not a recipe, UsageError naming the file for a bad
    pattern or an unknown name."""
    try:
        text = _read(path)
        if max(map(len, text.split("\n"))) > LONGEST_LINE:
            raise FileFormatError(path, None, f"lines of at most {LONGEST_LINE} characters", "a longer one")
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, None, "a TOML file", str(error)) from None
    unknown = found.keys() - {"file_type", "tensors"}
    if unknown:
        raise FileFormatError(path, None, "the keys file_type and tensors", repr(min(unknown))[:80])
    name, rows = found.get("file_type"), found.get("tensors", [])
    if name is not None and not isinstance(name, str):
        raise FileFormatError(path, None, "file_type to be a string", repr(name)[:80])
    if not isinstance(rows, list):
        raise FileFormatError(path, None, "tensors to be a list of [pattern, format]", repr(rows)[:80])
    try:
        recipe = Recipe() if name is None else Recipe.named(name)
        return recipe.preceded([_row(path, row) for row in rows])
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _row(path: str | Path, row: Any) -> Pattern:
    if not isinstance(row, list) or len(row) != 2 or not all(isinstance(text, str) for text in row):
        raise FileFormatError(path, None, "tensors to be a list of [pattern, format]", repr(row)[:80])
    return Pattern(row[0], formats.get(row[1]))


def read_tensor_types(path: str | Path) -> tuple[Pattern, ...]:
    """The patterns of a tensor-type file. Raises UsageError naming the file for a bad pattern or an unknown format."""
    try:
        return tuple(Pattern.parse(text.lower()) for text in _read(path).split())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def write_tensor_types(path: str | Path, patterns: Sequence[Pattern]) -> None:
    """Write a tensor-type file for llama.cpp, in full or not at all.

    Raises UsageError for anything it cannot hold: white space, "=" or capitals in a pattern, formats not in GGUF.
    """
    for p in patterns:
        if p.regex != p.regex.lower() or "=" in p.regex or len(p.regex.split()) != 1 or p.regex != p.regex.strip():
            raise UsageError(f'{path}: a tensor-type file has no spaces, "=" or capitals in patterns, got {p.regex!r}')
        if p.format.ggml is None:
            raise UsageError(f"{path}: GGUF has no type for the format {p.format.name}")
    _write(path, "".join(f"{p.regex}={_ggml_name(p)}\n" for p in patterns))


def _ggml_name(pattern: Pattern) -> str:
    return (*pattern.format.aliases, pattern.format.name)[0]


def _read(path: str | Path) -> str:
    inputs.add(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BitwrightError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise FileFormatError(path, None, f"a file of at most {LARGEST} bytes", "a larger one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(path, error.start, "UTF-8", repr(data[error.start : error.start + 1])) from None


def _write(path: str | Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
