"""The weights of a checkpoint by the model's names, as floats or in MXFP4, whichever way they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import UnsupportedError
from bitwright.formats import Format
from bitwright.io import safetensors
from bitwright.io.safetensors import Stored
from bitwright.io.values import Values
from bitwright.kernels import mapping
from bitwright.model.architectures.checkpoint import FLOATS
from bitwright.model.conversion import experts
from bitwright.model.conversion.experts import Share
from bitwright.model.conversion.quantized import UNUSED, Layout, Matrix, Part, layout

DTYPES: dict[str, np.dtype[Any]] = {  # floats that NumPy lacks as their bits
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F8_E4M3": np.dtype("u1"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}


class Weights:
    """The weights in a folder. paths, buffers: its files, mapped. names: of all weights. stored_as: the name of the
    method by which some are quantized, or ""."""

    def __init__(self, folder: Path, config: Values, apart: bool = False) -> None:
        """apart: whether experts are stored as `experts.taken_apart` reads them. Raises what that,
        `safetensors.open_set` and `quantized.layout` raise, FileFormatError for a quantized matrix of which a part is
        missing or wrong."""
        found = layout(config)
        files = safetensors.open_set(folder)
        self.paths, self.buffers, self._plain = list(files.paths), list(files.buffers), dict(files.tensors)
        self._made: dict[str, Matrix | Share] = {}
        self.stored_as = found.method if found else ""
        if found:
            self._take(found)
        if apart:
            self._made |= {share.name: share for share in experts.taken_apart(self._plain, self._part, folder)}
        for part in {part for made in self._made.values() for part in made.parts}:
            del self._plain[part]
        self.names = {*self._plain, *self._made}

    def _take(self, found: Layout) -> None:
        """Takes the parts of quantized matrices together, and leaves out what only programs of that kind use."""
        for name in [name for name in self._plain if name.endswith(UNUSED)]:
            del self._plain[name]
        for name in [name for name in self._plain if name.endswith(found.scale)]:
            stem = name.removesuffix(found.scale)
            matrix = Matrix(found, stem, self._part, self.paths[self._plain[name].part])
            self._made[matrix.name] = matrix

    def path(self, name: str) -> Path:
        """The file that holds a weight."""
        return self._made[name].path if name in self._made else self.paths[self._plain[name].part]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight."""
        return self._made[name].shape if name in self._made else self._plain[name].shape

    def format(self, name: str) -> Format:
        """The format of a weight as `read` gives it. UnsupportedError if it is stored as no float."""
        if name in self._made:
            return self._made[name].format
        if (dtype := self._plain[name].dtype) not in FLOATS:
            raise UnsupportedError(f"{self.path(name)}: tensor {name} of type", dtype, FLOATS)
        return formats.get(FLOATS[dtype])

    def place(self, name: str) -> Stored | None:
        """Where the bytes of a weight lie; None if they are made of others."""
        return self._plain.get(name)

    def read(self, name: str) -> NDArray[Any]:
        """A weight as float32, float16 or the bits of bfloat16; a view of the file if it has them. Or MXFP4."""
        mapping.check()
        if name in self._plain:
            return self._view(self._plain[name])
        return self._made[name].values()

    def _part(self, name: str) -> Part | None:
        stored = self._plain.get(name)
        return Part(stored.dtype, self._view(stored)) if stored and stored.dtype in DTYPES else None

    def _view(self, stored: Stored) -> NDArray[Any]:
        dtype = DTYPES[stored.dtype]
        flat = np.frombuffer(self.buffers[stored.part], dtype, stored.nbytes // dtype.itemsize, stored.offset)
        return flat.reshape(stored.shape)
