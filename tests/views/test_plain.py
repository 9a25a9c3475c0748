"""Other values become plain JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bitwright.views.plain import plain


def test_numpy_paths_and_bytes() -> None:
    given = {"a": np.float32(0.5), 1: np.arange(3), "c": (1, b"x\xff"), "d": Path("a/b"), "e": np.array(["x"])}
    found = plain(given)
    assert found == {"a": 0.5, "1": [0, 1, 2], "c": [1, "x\ufffd"], "d": "a/b", "e": ["x"]}
    assert type(found["a"]) is float and type(found["1"][0]) is int


def test_values_without_json_are_null() -> None:
    assert plain({"a": float("nan"), "b": [np.inf, -np.inf], "c": True, "d": None}) == {
        "a": None, "b": [None, None], "c": True, "d": None,
    }  # fmt: skip


def test_text_that_is_not_utf8() -> None:
    assert plain({"a": b"a\xffb".decode("utf-8", "surrogateescape")}) == {"a": "a\ufffdb"}
