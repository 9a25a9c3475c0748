"""Sizes of ggml's formats, until bitwright.formats declares them."""

from typing import NamedTuple

import numpy as np

from bitwright.errors import UnsupportedError


class Format(NamedTuple):
    name: str
    ggml: int
    block_size: int
    block_bytes: int

    def row_bytes(self, columns: int) -> int:
        return columns // self.block_size * self.block_bytes


class QuantizedTensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    format: Format
    data: np.ndarray


def from_ggml(number: int) -> Format:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    table = {k.value: Format(k.name.lower(), k.value, *GGML_QUANT_SIZES[k]) for k in GGMLQuantizationType}
    if number not in table or number in (9, 24, 25, 26, 27, 28, 41):
        raise UnsupportedError("ggml type", number, (f.name for f in table.values()))
    return table[number]
