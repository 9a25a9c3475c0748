"""The 13 GGUF metadata value types, by the numbers the file stores, and a value that carries its own type.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NAMES = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool"),
    *("string", "array", "uint64", "int64", "float64"),
)
STRING, ARRAY = 8, 9
# Little-endian storage of every fixed-size type, by its number.
DTYPES = {
    number: np.dtype(name).newbyteorder("<") for number, name in enumerate(NAMES) if number not in (STRING, ARRAY)
}


class Typed(NamedTuple):
    """A metadata value with its stored type: `Typed(15, "uint32")`, `Typed(["a", "b"], "array[string]")`."""

    value: object
    type: str


def type_name(number: int, element: int | None = None) -> str:
    """`uint32` for a scalar, `array[string]` for an array of strings."""
    return NAMES[number] if element is None else f"array[{NAMES[element]}]"


def type_numbers(name: str) -> tuple[int, int | None]:
    """The numbers of a `type_name`: `(4, None)` for `uint32`, `(9, 8)` for `array[string]`; raises ValueError."""
    if name.startswith("array[") and name.endswith("]"):
        element = NAMES.index(name[6:-1])
        if element != ARRAY:
            return ARRAY, element
    elif name != "array":
        return NAMES.index(name), None
    raise ValueError(f"{name} is not a GGUF value type")
