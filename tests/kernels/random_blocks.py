"""Random bytes of ggml block formats with ordinary numbers as scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.formats import Format

GGML_BLOCKS = [f.name for f in formats.all() if f.ggml is not None and f.block_size > 1]


def random_blocks(format: Format, shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Packed bytes (rows, row bytes) of a (rows, columns) weight: random codes, float scales near 0.01."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    blocks = rng.integers(0, 256, (rows * columns // format.block_size, format.block_bytes), dtype=np.uint8)
    start = 0
    for field in format.fields:
        part = blocks[:, start : start + field.nbytes]
        if field.dtype in ("f16", "f32"):
            scales = rng.normal(0, 0.01, (len(blocks), field.count))
            part[:] = scales.astype(field.dtype.replace("f16", "<f2").replace("f32", "<f4")).view(np.uint8)
        start += field.nbytes
    if format.name == "mxfp4":
        blocks[:, 0] = rng.integers(112, 126, len(blocks))
    if format.name == "iq1_m":  # the top bits of its float16 scale are in the last byte
        blocks[:, 55] = blocks[:, 55] & 0x8F | 0x20
    return blocks.reshape(rows, -1)
