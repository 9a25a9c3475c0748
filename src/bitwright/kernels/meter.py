"""This machine's limits, measured with a tier's own instructions; speeds are compared with them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bitwright.formats import QuantizedTensor
from bitwright.kernels import _native

SECONDS = 0.15  # of one measurement
PART_BYTES = 96 << 10  # of stored weights: they and their inputs fit a second-level cache of 256 kB


class Decoding(NamedTuple):
    """Products with one token: weights per second, from a copy in each thread's own cache and from memory, and the
    bytes read per weight."""

    cached: float
    memory: float
    bytes_per_weight: float

    @property
    def cached_gb_s(self) -> float:
        """GB of packed weights per second when they come from the cache."""
        return self.cached * self.bytes_per_weight / 1e9

    @property
    def memory_gb_s(self) -> float:
        """GB of packed weights per second when they come from memory."""
        return self.memory * self.bytes_per_weight / 1e9


class Meter:
    """Measures the limits of `threads` threads together (default: all cores this process may use) on a tier (default:
    the best). Each figure is the best of many windows of a millisecond; a call takes about a sixth of a second.

    Holds 256 MB while it lives. Raises UsageError for a tier that cannot run here.
    """

    def __init__(self, threads: int | None = None, tier: str | None = None) -> None:
        self._tier = tier or ""
        self._native = _native.core().Meter(self._tier, _native.thread_count(threads))

    def read_gb_s(self, seconds: float = SECONDS) -> float:
        """GB/s read from memory."""
        return float(self._native.read(seconds)) / 1e9

    def int8_gop_s(self, seconds: float = SECONDS) -> float:
        """Billions of int8 operations per second in dot products; a multiplication and an addition are two."""
        return float(self._native.integer_dots(seconds)) / 1e9

    def bf16_gflop_s(self, seconds: float = SECONDS) -> float:
        """Billions of float operations per second in products of bfloat16, as the tier multiplies BF16 weights: by the
        CPU's own dot product (AVX-512 BF16), or widened to float32."""
        return float(self._native.bf16_dots(seconds)) / 1e9

    def float32_gflop_s(self, seconds: float = SECONDS) -> float:
        """Billions of float operations per second in float32 multiply-add: the limit of every float kernel but a
        dot product of bfloat16."""
        return float(self._native.float32_dots(seconds)) / 1e9

    def decoding(self, weight: QuantizedTensor, seconds: float = SECONDS) -> Decoding:
        """How fast a weight (rows, columns) of a format the core knows is decoded, using as many of its rows as fit a
        second-level cache."""
        rows = max(1, min(weight.shape[0], PART_BYTES // weight.data.shape[-1]))
        rows = max(32, rows // 32 * 32) if weight.shape[0] >= 32 else rows  # whole panels of every tier
        data = np.ascontiguousarray(weight.data[:rows]).reshape(-1)
        shape = _native.format_id(weight.format), rows, weight.shape[1]
        cached, memory = (self._native.decode(*shape, data, from_memory, seconds) for from_memory in (False, True))
        return Decoding(cached, memory, _native.core().bytes_read(*shape, self._tier) / (rows * shape[2]))
