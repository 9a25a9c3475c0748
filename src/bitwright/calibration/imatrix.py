"""llama.cpp's imatrix files: GGUF, and the older .dat (tools/imatrix/imatrix.cpp, common/imatrix-loader.cpp)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.calibration import moments
from bitwright.calibration.activations import ActivationStatistics, SquareSums
from bitwright.errors import FileFormatError, UsageError
from bitwright.io import gguf, inputs
from bitwright.io.atomic import replacing
from bitwright.io.values import MAX_TOKENS, Values

SUMS, COUNTS = ".in_sum2", ".counts"
GRADIENTS = ".out_grad2"  # bitwright's addition: llama.cpp reads only the other two
VALID = "that are finite and at least 0"
MOST_COUNT = 1 << 53  # tokens
KIND, TEXTS, CHUNKS, CHUNK_TOKENS = "general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"


def read(path: str | Path) -> ActivationStatistics:
    """Statistics from either kind of file. Raises FileFormatError if the file is damaged, or holds values that are
    negative or not finite."""
    path = Path(path)
    with inputs.opened(path) as file:
        is_gguf = file.read(4) == b"GGUF"
    statistics = _read_gguf(path) if is_gguf else _Dat(path).statistics()
    for name, values in statistics.sensitivities.items():
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise FileFormatError(path, None, f"mean squared gradients of {name} {VALID}", "other values")
    for name, own in statistics.squares.items():
        if not (np.isfinite(own.sums).all() and (own.sums >= 0).all() and (own.counts >= 0).all()):
            raise FileFormatError(path, None, f"sums of squares of {name} {VALID}", "other values")
    return statistics


def write(path: str | Path, statistics: ActivationStatistics) -> None:
    """Write a GGUF imatrix, or the older form if the name ends in .dat. The file appears in full or not at all."""
    path = Path(path)
    if not statistics.squares:
        raise UsageError(f"{path}: there are no statistics to write")
    if path.suffix == ".dat":
        if statistics.moments:
            raise UsageError(f"{path}: a .dat holds only importance; second moments need a .gguf")
        return _write_dat(path, statistics)
    metadata = {
        KIND: gguf.Typed("imatrix", "string"),
        TEXTS: gguf.Typed(list(statistics.texts), "array[string]"),
        CHUNKS: gguf.Typed(statistics.chunks, "uint32"),
        CHUNK_TOKENS: gguf.Typed(statistics.chunk_tokens, "uint32"),
    } | moments.metadata(statistics.moments, statistics.provenance)
    tensors = []
    for name, own in sorted(statistics.squares.items()):
        tensors.append(_float32(name + SUMS, own.sums))
        tensors.append(_float32(name + COUNTS, own.counts[:, None]))
    tensors += [_float32(name + GRADIENTS, own) for name, own in sorted(statistics.sensitivities.items())]
    gguf.write(path, metadata, [*tensors, *moments.tensors(statistics.moments)])


def _float32(name: str, values: NDArray[Any]) -> Any:
    return name, values.shape, formats.get("f32"), lambda: np.ascontiguousarray(values, np.float32)


def _read_gguf(path: Path) -> ActivationStatistics:
    file = gguf.open(path)
    values = Values(file.metadata)
    if values.get(KIND) != "imatrix":
        raise values.error(KIND, "imatrix")
    squares = {}
    for name in file.tensors:
        if name.endswith(SUMS):
            weight = name.removesuffix(SUMS)
            if weight + COUNTS not in file.tensors:
                raise FileFormatError(path, None, f"counts with the sums of {weight}", "none")
            sums, counts = (file.tensor(weight + kind).dequantize() for kind in (SUMS, COUNTS))
            sums, counts = sums.reshape(-1, sums.shape[-1]), counts.reshape(-1)
            if len(counts) != len(sums) or not (abs(counts) < MOST_COUNT).all():
                raise FileFormatError(path, None, f"a count for each of the {len(sums)} rows of {weight}", str(counts))
            squares[weight] = SquareSums(sums.astype(np.float64), counts.astype(np.int64))
    if not squares:
        raise FileFormatError(path, None, f"tensors named like blk.0.attn_q.weight{SUMS}", "none")
    chunks, tokens = (values.integer(key, 0, high=MAX_TOKENS) for key in (CHUNKS, CHUNK_TOKENS))
    texts = tuple(values.strings(TEXTS, ()))
    found, provenance = moments.read(file)
    gradients = {n.removesuffix(GRADIENTS): file.tensor(n).dequantize() for n in file.tensors if n.endswith(GRADIENTS)}
    return ActivationStatistics(squares, texts, chunks, tokens or 512, found, gradients, provenance)


class _Dat:
    """An int32 count of entries; for each: int32 length, name, int32 calls, int32 count, float32 mean squares times
    calls. Newer files then hold int32 chunks, int32 length, name of the text."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def statistics(self) -> ActivationStatistics:
        count = self.number("entries", 1, 1 << 20)
        squares = {}
        for _ in range(count):
            name = self.text("a tensor's name")
            calls, values = self.number(f"calls of {name}", 0, 1 << 30), self.number(f"values of {name}", 1, 1 << 28)
            sums = np.frombuffer(self.take(4 * values, f"the values of {name}"), "<f4").astype(np.float64)
            squares[name] = SquareSums(sums[None], np.array([max(calls, 1)]))
        left = self.at < len(self.data)
        chunks = self.number("chunks", 0, 1 << 30) if left else 0
        texts = (self.text("the text's name"),) if self.at < len(self.data) else ()
        return ActivationStatistics(squares, texts, chunks)

    def take(self, size: int, what: str) -> bytes:
        if self.at + size > len(self.data):
            raise FileFormatError(self.path, self.at, what, f"the end of the file after {len(self.data)} bytes")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, what: str, low: int, high: int) -> int:
        (value,) = struct.unpack("<i", self.take(4, what))
        if not low <= value <= high:
            raise FileFormatError(self.path, self.at - 4, f"{what}: {low} to {high}", str(value))
        return int(value)

    def text(self, what: str) -> str:
        data = self.take(self.number(f"the length of {what}", 0, 4096), what)
        return data.decode("utf-8", "replace")


def _write_dat(path: Path, statistics: ActivationStatistics) -> None:
    """As llama.cpp writes it: the rows of experts follow each other, and counts are in chunks."""
    with replacing(path) as file:
        file.write(struct.pack("<i", len(statistics.squares)))
        for name, own in sorted(statistics.squares.items()):
            calls = -(-int(own.counts.max()) // statistics.chunk_tokens)
            values, encoded = own.importance.ravel() * np.float32(calls), name.encode()
            file.write(struct.pack(f"<i{len(encoded)}sii", len(encoded), encoded, calls, values.size))
            file.write(values.astype("<f4").tobytes())
        text = ", ".join(statistics.texts).encode()
        file.write(struct.pack(f"<ii{len(text)}s", statistics.chunks, len(text), text))
