"""Second moments of the activations that weights are multiplied by, E[x x'], kept in imatrix files.

llama.cpp ignores these tensors. A symmetric matrix is stored as its lower triangle, row after row, in float32. Weights
with the same input share one matrix; metadata says which weights use which matrix and how tokens were weighted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import FileFormatError
from bitwright.io import gguf
from bitwright.io.values import Values

Weighting = Literal["fisher", "plain", "gradient"]
MOMENT = "moment."
STRIP = 128  # columns
WEIGHTS, OF, WEIGHTING, COLUMNS, TOKENS, SEED, IDS = (
    f"bitwright.moments.{key}" for key in ("weights", "of", "weighting", "columns", "tokens", "seed", "ids_sha256")
)


@dataclass(frozen=True)
class SecondMoment:
    """The mean of f x x' over tokens, where x (columns,) is the input of `weights` and f weights tokens with mean 1.

    weighting: "plain", f = 1; "fisher", f proportional to the squared norm of the gradient at the outputs of `weights`;
    "gradient", for an embedding: x is the gradient at its rows and f = 1. `packed()` reads the lower triangles
    (matrices, columns (columns + 1) / 2) from the file `source`.
    """

    weights: tuple[str, ...]
    weighting: Weighting
    matrices: int
    columns: int
    packed: Callable[[], NDArray[np.float32]] = field(repr=False)
    source: object = ""

    def matrix(self) -> NDArray[np.float32]:
        """The moments (matrices, columns, columns). Raises FileFormatError, naming the weights, for values that are not
        finite or a negative diagonal."""
        packed, names = self.packed(), ", ".join(self.weights)
        if not np.isfinite(packed).all():
            raise FileFormatError(self.source, None, f"second moments of {names} that are finite", "other values")
        if (packed[:, diagonal(self.columns)] < 0).any():
            raise FileFormatError(
                self.source, None, f"second moments of {names} with a diagonal from 0", "negative values"
            )
        matrices = np.empty((len(packed), self.columns, self.columns), np.float32)
        for values, matrix in zip(packed, matrices, strict=True):
            unpack(values, self.columns, matrix)
        return matrices


@dataclass(frozen=True)
class Provenance:
    """tokens: how many were read. seed: of the sampled labels. ids_sha256: SHA-256 of the token ids."""

    tokens: int = 0
    seed: int = 0
    ids_sha256: str = ""


def size(columns: int) -> int:
    """The number of values in a lower triangle."""
    return columns * (columns + 1) // 2


def diagonal(columns: int) -> NDArray[np.int64]:
    """The indices (columns,) of the diagonal in a lower triangle."""
    i = np.arange(columns)
    return i * (i + 3) // 2


def pack(matrix: NDArray[Any]) -> NDArray[np.float32]:
    """The lower triangle (columns (columns + 1) / 2,) of a matrix (columns, columns)."""
    packed = np.empty(size(len(matrix)), np.float32)
    for i, row in enumerate(matrix):
        packed[size(i) : size(i + 1)] = row[: i + 1]
    return packed


def unpack(packed: NDArray[np.float32], columns: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The symmetric matrix (columns, columns) of a lower triangle, written to `out` if given."""
    matrix = np.empty((columns, columns), np.float32) if out is None else out
    for i in range(columns):
        matrix[i, : i + 1] = packed[size(i) : size(i + 1)]
    for i in range(0, columns, STRIP):  # mirrored in strips that stay in the cache
        rows = slice(i, i + STRIP)
        matrix[rows, rows] = np.tril(matrix[rows, rows]) + np.tril(matrix[rows, rows], -1).T
        matrix[:i, rows] = matrix[rows, :i].T
    return matrix


def metadata(moments: tuple[SecondMoment, ...], provenance: Provenance) -> dict[str, gguf.Typed]:
    """The metadata that describes the moments; empty if there are none."""
    if not moments:
        return {}
    return {
        WEIGHTS: gguf.Typed([name for m in moments for name in m.weights], "array[string]"),
        OF: gguf.Typed([index for index, m in enumerate(moments) for _ in m.weights], "array[uint32]"),
        WEIGHTING: gguf.Typed([m.weighting for m in moments], "array[string]"),
        COLUMNS: gguf.Typed([m.columns for m in moments], "array[uint32]"),
        TOKENS: gguf.Typed(provenance.tokens, "uint64"),
        SEED: gguf.Typed(provenance.seed, "uint64"),
        IDS: gguf.Typed(provenance.ids_sha256, "string"),
    }


def tensors(moments: tuple[SecondMoment, ...]) -> Iterator[tuple[str, tuple[int, ...], Any, Callable[[], Any]]]:
    """The tensors to pass to `gguf.write`, which reads each of them in turn."""
    for index, m in enumerate(moments):
        yield f"{MOMENT}{index}", (m.matrices, size(m.columns)), formats.get("f32"), m.packed


def read(file: gguf.GGUF) -> tuple[tuple[SecondMoment, ...], Provenance]:
    """The moments in an imatrix file, read only when used. Raises FileFormatError if they do not match its metadata."""
    if WEIGHTS not in file.metadata:
        return (), Provenance()
    values = Values(file.metadata)
    weights, kinds = values.strings(WEIGHTS), values.strings(WEIGHTING)
    of, columns = (values.numbers(key, whole=True).tolist() for key in (OF, COLUMNS))
    count = len(columns)
    if len(kinds) != count:
        raise FileFormatError(file.path, None, f"{WEIGHTING} and {COLUMNS} of one length", f"{len(kinds)}, {count}")
    if len(of) != len(weights) or len(set(weights)) < len(weights) or set(of) != set(range(count)):
        raise FileFormatError(file.path, None, f"{OF} to say for each weight which of {count} it uses", repr(of)[:80])
    found = []
    for index, (kind, width) in enumerate(zip(kinds, columns, strict=True)):
        name = f"{MOMENT}{index}"
        if kind not in get_args(Weighting):
            raise FileFormatError(file.path, None, f"{WEIGHTING}: {', '.join(get_args(Weighting))}", repr(kind))
        if name not in file.tensors:
            raise FileFormatError(file.path, None, f"a tensor {name}", "none")
        info = file.tensors[name]
        if info.format.name != "float32" or len(info.shape) != 2 or info.shape[1] != size(width):
            expected = f"{name} to be float32, the lower triangles (matrices, {size(width)}) of {width} columns"
            raise FileFormatError(file.path, None, expected, f"{info.format.name} {info.shape}")
        users = tuple(weight for weight, i in zip(weights, of, strict=True) if i == index)
        packed = partial(_values, file, name)
        found.append(SecondMoment(users, cast(Weighting, kind), info.shape[0], width, packed, file.path))
    tokens, seed = (values.integer(key, 0, high=(1 << 64) - 1) for key in (TOKENS, SEED))
    return tuple(found), Provenance(tokens, seed, values.text(IDS, ""))


def _values(file: gguf.GGUF, name: str) -> NDArray[np.float32]:
    file.release()  # pages of earlier moments: together they are as large as a model
    return file.tensor(name).data.view(np.float32)
