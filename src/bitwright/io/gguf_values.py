"""The 13 GGUF metadata value types, by the numbers the file stores, and a value that carries its own type.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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

    value: Any
    type: str


def type_name(number: int, element: int | None = None) -> str:
    """`uint32` for a scalar, `array[string]` for an array of strings."""
    return NAMES[number] if element is None else f"array[{NAMES[element]}]"


def type_numbers(name: str) -> tuple[int, int | None]:
    """The numbers of a `type_name`: `(4, None)` for `uint32`, `(9, 8)` for `array[string]`; raises ValueError."""
    element = re.fullmatch(r"array\[(\w+)\]", name)
    inner = element[1] if element else name
    if inner not in NAMES or inner == "array":
        raise ValueError(f"{name} is not a GGUF value type")
    return (ARRAY, NAMES.index(inner)) if element else (NAMES.index(inner), None)


def guess_type(value: Any) -> str:
    """The type for a plain value: bool; uint32 or the first of int32, uint64, int64 that holds it; float32; string.

    NumPy scalars and arrays keep their type; a list takes its first element's type; ints become int32. Else ValueError.
    """
    if isinstance(value, np.ndarray | np.generic) and value.dtype.name in NAMES:
        return f"array[{value.dtype.name}]" if value.ndim else value.dtype.name
    if isinstance(value, list | tuple) and value:
        return f"array[{'int32' if type(value[0]) is int else guess_type(value[0])}]"
    if isinstance(value, int) and not isinstance(value, bool):
        fits = (name for name in ("uint32", "int32", "uint64", "int64") if _holds(name, value))
        return next(fits, "int64")
    for kind, name in ((bool, "bool"), (float, "float32"), (str, "string")):
        if isinstance(value, kind):
            return name
    raise ValueError(f"no GGUF type for {value!r}")


def _holds(name: str, value: int) -> bool:
    limits = np.iinfo(name)
    return limits.min <= value <= limits.max
