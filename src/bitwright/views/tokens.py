"""A text's token ids: what `tokenize --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.views.plain import plain


def tokens(ids: Sequence[int]) -> dict[str, Any]:
    """ids, count."""
    return plain({"ids": ids, "count": len(ids)})
