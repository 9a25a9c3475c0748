"""The components of tokenizer.json: normalizers, pre-tokenizers, post-processors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitwright.io.values import Values


def components(tokenizer: Values, role: str, parts: str) -> Iterator[Values]:
    """The components of one role, with a Sequence, which lists its `parts`, unfolded. FileFormatError for anything
    else than objects."""
    found = tokenizer.inner(role)
    if not found.values:
        return
    if found.text("type", "") != "Sequence":
        yield found
        return
    listed: Any = found.get(parts)
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise found.error(parts, "a list of objects")
    for part in listed:
        yield Values({f"{role}.{key}": value for key, value in part.items()}, tokenizer.place, role)
