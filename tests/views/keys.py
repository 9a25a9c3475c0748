"""Checks the keys of a view: `check` fails when one is missing or a value is not plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Keys = str | Mapping[str, Any]  # names, with spaces between; or the names in a dict or in each row of a list -> names


def check(found: Any, *keys: Keys) -> None:
    """`found` is plain JSON and has `keys`."""
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for part in keys:
        has(found, part)


def has(found: Any, keys: Keys) -> None:
    if isinstance(found, list):
        assert found, "a list without rows shows no key"
        for row in found:
            has(row, keys)
    elif isinstance(keys, str):
        missing = [key for key in keys.split() if key not in found]
        assert not missing, f"{missing} are not among {list(found)}"
    else:
        for key, inner in keys.items():
            assert key in found, f"{key} is not among {list(found)}"
            has(found[key], inner)
