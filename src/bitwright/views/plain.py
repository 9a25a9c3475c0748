"""Values as plain JSON: the last step of every view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def plain(found: Mapping[Any, Any]) -> dict[str, Any]:
    """`found` in dicts with string keys, lists, strings, integers, finite floats, booleans and None.

    NumPy arrays and scalars become lists and numbers, paths strings. NaN and infinity become None, because JSON lacks
    them. Bytes that are not UTF-8 become U+FFFD.
    """
    return {str(key): _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, PurePath) else value


def printable(text: str) -> str:
    """Text with U+FFFD for bytes that are not UTF-8 (`io.gguf` keeps such bytes of a file as lone surrogates)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
