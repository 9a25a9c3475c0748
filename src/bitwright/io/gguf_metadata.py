"""The metadata of an open GGUF file, decoded when asked for."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.errors import FileFormatError
from bitwright.io.gguf_parse import Value
from bitwright.io.gguf_values import DTYPES, STRING, Typed, type_name
from bitwright.kernels.strings import Strings

ENTRY_BYTES = 8 + 4 + 4 + 8  # of an array's entry: its key's length, type, elements' type, number of elements


class Metadata(Mapping[str, Any]):
    """The metadata by key: Python scalars and strings, lists of strings, read-only NumPy arrays; decoded on first use.

    Bytes of a string that are not UTF-8 become lone surrogates (Python's `surrogateescape`), and `write` turns them
    back. Raises FileFormatError if a bool is neither 0 nor 1.
    """

    def __init__(self, buffer: mmap.mmap | bytes, path: Path, values: dict[str, Value]) -> None:
        self._buffer, self.path, self._values = buffer, path, values
        self._decoded: dict[str, Any] = {}
        self._tables: dict[str, Strings] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._decoded:
            self._decoded[key] = self._decode(self._values[key])
        return self._decoded[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return f"<Metadata of {self.path.name}: {len(self)} keys>"

    def value_type(self, key: str) -> str:
        """The stored type: `uint32`, `string`, `array[string]`."""
        value = self._values[key]
        return type_name(value.type, value.element)

    def length(self, key: str) -> int:
        """How many elements an array holds, without decoding it; 1 for anything else."""
        return self._values[key].length

    def table(self, key: str) -> Strings | None:
        """An array of strings without decoding them; None if the value is something else or absent."""
        if key not in self._tables and key in self._values and self._values[key].element == STRING:
            self._tables[key] = self._strings(self._values[key])
        return self._tables.get(key)

    def typed(self) -> dict[str, Typed]:
        """Every value with its stored type, ready to be changed and given to `write`."""
        return {key: Typed(self[key], self.value_type(key)) for key in self}

    def scalars(self) -> dict[str, Typed]:
        """Every value but arrays with its stored type."""
        return {k: Typed(self[k], self.value_type(k)) for k, value in self._values.items() if value.element is None}

    @property
    def array_bytes(self) -> int:
        """Bytes that the entries of arrays take in the file, without decoding them."""
        arrays = [(k.encode(errors="surrogateescape"), v) for k, v in self._values.items() if v.element is not None]
        return sum(ENTRY_BYTES + len(key) + value.end - value.start for key, value in arrays)

    def _decode(self, value: Value) -> object:
        if value.type == STRING:
            return self._buffer[value.start : value.end].decode("utf-8", "surrogateescape")
        if value.element == STRING:
            return self._strings(value).all()
        dtype = DTYPES[value.type if value.element is None else value.element]
        numbers = np.frombuffer(self._buffer, dtype, value.length, value.start)
        if dtype.kind == "b" and (wrong := np.flatnonzero(numbers.view(np.uint8) > 1)).size:
            at = value.start + int(wrong[0])
            raise FileFormatError(self.path, at, "a bool of 0 or 1", str(self._buffer[at]))
        return numbers[0].item() if value.element is None else numbers

    def _strings(self, value: Value) -> Strings:
        return Strings(self._buffer[value.start : value.end], value.length)
