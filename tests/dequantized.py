"""A model with all weights in float32: the same model without the error of int8 arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bitwright import formats
from bitwright.engine import Engine, RunOptions
from bitwright.formats import QuantizedTensor
from bitwright.io import gguf
from bitwright.model.model import Model


class Dequantized:
    """Reads `path` and decodes every tensor; `arrays` are the float32 weights by name, `metadata` is the file's."""

    def __init__(self, path: Path) -> None:
        file = gguf.open(path)
        self.metadata = file.metadata
        self.arrays = {name: file.tensor(name).dequantize() for name in file.tensors}
        self.model = Model.from_gguf(file).with_tensors({name: stored(name, a) for name, a in self.arrays.items()})

    def engine(self, context: int | None = None) -> Engine:
        return Engine(self.model, RunOptions(context))


def stored(name: str, array: np.ndarray) -> QuantizedTensor:
    return QuantizedTensor(name, array.shape, formats.get("f32"), np.ascontiguousarray(array).view(np.uint8))
