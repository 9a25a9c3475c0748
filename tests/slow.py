"""Parameters of tests that take long: most of them run in CI alone (`make test-all`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(fast: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """The values as parameters of a test, all of them marked slow but those in `fast`."""
    kept = list(fast)
    return [value if value in kept else pytest.param(value, marks=pytest.mark.slow) for value in values]
