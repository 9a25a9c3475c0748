"""Values of model files: read as their type, or refused with file, key, and the expected and found value."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitwright.errors import FileFormatError
from bitwright.io.values import MAX_SIZE, Values

METADATA = {
    "general.architecture": "llama",
    "llama.count": 4,
    "llama.same": np.array([4, 4, 4], np.uint32),
    "llama.each": np.array([4, 0, 2], np.uint32),
    "llama.marked": np.array([True, False, True]),
    "llama.ratio": 0.5,
    "llama.none": 0.0,
    "llama.name": "a\nname",
    "llama.large": MAX_SIZE + 1,
}
VALUES = Values(METADATA, Path("model.gguf"), "llama")


def test_values_by_type() -> None:
    assert VALUES.integer("count") == VALUES.integer("same") == 4 and VALUES.integer("absent", 7) == 7
    assert VALUES.number("ratio") == 0.5 and VALUES.number("count") == 4 and VALUES.number("absent", 2.0) == 2
    assert VALUES.optional("none") is None and VALUES.optional("absent") is None and VALUES.optional("ratio") == 0.5
    assert VALUES.text("name") == "a\nname" and VALUES.text("absent", "x") == "x"
    assert Values.of_gguf(METADATA).prefix == "llama" and Values.of_gguf({}).prefix == ""


def test_one_number_or_one_per_layer() -> None:
    assert VALUES.per_layer("each", 3) == [4, 0, 2]
    assert VALUES.per_layer("count", 3) == [4, 4, 4]
    assert VALUES.per_layer("absent", 3, [1, 2, 3]) == [1, 2, 3] and VALUES.per_layer("absent", 2, 5) == [5, 5]
    assert VALUES.first("each", 0) == VALUES.first("count", 0) == 4 and VALUES.first("absent", 3) == 3
    assert VALUES.marks("marked", 3) == [True, False, True] and VALUES.marks("each", 3) == [True, False, True]
    assert VALUES.marks("count", 3) is None and VALUES.marks("absent", 3) is None


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda v: v.integer("absent"), f"llama.absent to be a whole number from 0 to {MAX_SIZE}, got no such key"),
        (lambda v: v.integer("ratio"), f"llama.ratio to be a whole number from 0 to {MAX_SIZE}, got number 0.5"),
        (lambda v: v.integer("count", low=5), f"llama.count to be a whole number from 5 to {MAX_SIZE}, got integer 4"),
        (lambda v: v.integer("each"), f"llama.each to be a whole number from 0 to {MAX_SIZE}, got array of 3 uint32"),
        (lambda v: v.integer("large"), f"llama.large to be a whole number from 0 to {MAX_SIZE}, got integer 16777217"),
        (lambda v: v.number("none"), "llama.none to be a number from 1e-30 to 1e+30, got number 0.0"),
        (lambda v: v.flag("count", True), "llama.count to be true or false, got integer 4"),
        (lambda v: v.text("count"), "llama.count to be a string, got integer 4"),
        (lambda v: v.names("name", 2), r"llama.name to be an array of 2 strings, got string 'a\nname'"),
        (lambda v: v.strings("each"), "llama.each to be an array of strings, got array of 3 uint32: 4, 0, 2"),
        (lambda v: v.strings("name"), r"llama.name to be an array of strings, got string 'a\nname'"),
        (lambda v: v.strings("absent"), "llama.absent to be an array of strings, got no such key"),
        (lambda v: v.numbers("marked"), "llama.marked to be an array of numbers, got array of 3 bool: True, False"),
        (lambda v: v.numbers("each", 2), "llama.each to be an array of 2 numbers, got array of 3 uint32"),
        (lambda v: v.numbers("count", whole=True), "llama.count to be an array of whole numbers, got integer 4"),
        (lambda v: v.per_layer("each", 2), f"llama.each to be 2 whole numbers from 0 to {MAX_SIZE}, one per layer"),
        (lambda v: v.per_layer("marked", 3), "llama.marked to be 3 whole numbers"),
        (lambda v: v.marks("each", 2), "llama.each to be 2 times true or false, one per layer"),
        (lambda v: v.inner("count"), "llama.count to be an object, got integer 4"),
    ],
)  # fmt: skip
def test_errors_say_file_key_expected_and_found(read: Callable[[Values], object], message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read(VALUES)
    assert str(caught.value).startswith(f"model.gguf: expected {message}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, "4", math.nan, math.inf, -1, 4.0, [], ["a", "a"], [[1]], [True, True]])
def test_non_integers_are_refused(value: object) -> None:
    with pytest.raises(FileFormatError, match="n to be a whole number"):
        Values({"n": value}, "config.json").integer("n")


def test_a_nested_mapping_names_its_keys() -> None:
    inner = Values({"rope": {"type": "yarn", "factor": None}}, "config.json").inner("rope")
    assert inner.text("type") == "yarn" and not inner.has("factor")
    with pytest.raises(FileFormatError, match=r"rope\.factor to be a number from 1e-30 to 1e\+30, got no such key"):
        inner.number("factor")
    assert not Values({}, "config.json").inner("rope").has("type")
