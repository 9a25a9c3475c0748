"""An open model file whose weights are all float32: the same model without what int8 arithmetic adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bitwright import formats
from bitwright.formats import QuantizedTensor
from bitwright.io import gguf


class Dequantized(gguf.GGUF):
    """Reads `path` and decodes every tensor; `arrays` are the float32 weights by name."""

    def __init__(self, path: Path) -> None:
        file = gguf.open(path)
        vars(self).update(vars(file))
        self.arrays = {name: file.tensor(name).dequantize() for name in file.tensors}

    def tensor(self, name: str) -> QuantizedTensor:
        array = self.arrays[name]
        data = np.ascontiguousarray(array).view(np.uint8)
        return QuantizedTensor(name, array.shape, formats.get("f32"), data)
