"""Sizes of ggml's formats that bitwright.formats does not declare yet."""

from typing import Any, NamedTuple

from bitwright import formats
from bitwright.errors import UnsupportedError


class Size(NamedTuple):
    name: str
    ggml: int
    block_size: int
    block_bytes: int

    def row_bytes(self, columns: int) -> int:
        return columns // self.block_size * self.block_bytes


def from_ggml(number: int) -> Any:
    try:
        return formats.from_ggml(number)
    except UnsupportedError:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        table = {k.value: Size(k.name.lower(), k.value, *GGML_QUANT_SIZES[k]) for k in GGMLQuantizationType}
        if number not in table or number in (9, 24, 25, 26, 27, 28, 41):
            raise
        return table[number]
