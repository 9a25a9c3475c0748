"""What this machine reaches: its limits, and for each format the rates of the engine's own kernels.

A rate is the median of some rounds in its best spell of several, as `bitwright bench` has the mean of its fastest
round: other work on a machine only ever slows one down, but the luckiest milliseconds are not what a model meets.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from bitwright import formats, kernels
from bitwright.formats import Format, QuantizedTensor

COLUMNS = 4096
PANEL = 32  # rows that are encoded; the rest are copies, which take as long to multiply
PREFILL_TOKENS, PREFILL_COLUMNS = 512, 2048
PREFILL_ROWS, MOST_ROWS = 1024, 8192  # of each thread, of all: inputs are turned to int8 once for as many as in a model
LEAST_BYTES, MOST_BYTES = 64 << 20, 1 << 30  # of the weight that decoding is timed with: beyond the caches
FLOAT_BYTES = 256 << 20  # of floats, which take no packing: caches keep a part of less
CONVERTED_BYTES = 2 << 20  # of one that is converted first, which takes longer than reading it from anywhere
PASSES = 3  # over all formats: what slows a machine down comes in spells of a second
DECODE_SECONDS, PREFILL_SECONDS = 0.05, 0.08  # in a pass
LEAST_ROUNDS = 3
NO_WEIGHTS = {"q8_k", "float8_e8m0fnu"}  # formats of activations and of scales


@dataclass(frozen=True)
class Kernel:
    """A format's products with one token, in bytes of the weight (as a file stores it) a second, read from memory; and
    with 512 tokens, in operations a second (a product and a sum are two)."""

    decode: float
    prefill: float

    def faster(self, other: Kernel) -> Kernel:
        """Of each rate the higher."""
        return Kernel(max(self.decode, other.decode), max(self.prefill, other.prefill))


@dataclass(frozen=True)
class Measured:
    """Bytes per second that all threads and one thread read from memory; operations per second of int8 dot products, of
    bfloat16 products and of float32 multiply-add (the limit of every float kernel); each format's kernels by name."""

    date: str
    tier: str
    threads: int
    read: float
    read_one_core: float
    int8: float
    bf16: float
    float32: float
    kernels: Mapping[str, Kernel]


def measure(threads: int, last_cache_bytes: int | None, report: Callable[..., None] = lambda *_: None) -> Measured:
    """Measure it all, in less than a minute."""
    tier = kernels.tier()
    paths = {c.format: c.decode for c in kernels.coverage() if c.tier == tier and c.format not in NO_WEIGHTS}
    names = [name for name, path in paths.items() if path != "reference"]
    limits, rates = [_limits(threads)], dict[str, Kernel]()
    least = min(MOST_BYTES, max(LEAST_BYTES, 2 * (last_cache_bytes or 0)))
    for done, name in enumerate(PASSES * names, 1):
        size = {"converted": CONVERTED_BYTES, "float": max(least, FLOAT_BYTES)}.get(paths[name], least)
        found = kernel(formats.get(name), threads, size)
        rates[name] = found.faster(rates.get(name, found))
        if done % len(names) == 0:
            limits.append(_limits(threads))
        report(done, PASSES * len(names), name)
    read, one_core, int8, bf16, float32 = map(max, *limits)
    return Measured(date.today().isoformat(), tier, threads, read, one_core, int8, bf16, float32, rates)


def _limits(threads: int) -> tuple[float, ...]:
    """Bytes per second that all threads and one read; operations per second of int8, bfloat16 and float32 products."""
    meter = kernels.Meter(threads)
    reads = meter.read_gb_s(), kernels.Meter(1).read_gb_s()
    products = meter.int8_gop_s(), meter.bf16_gflop_s(), meter.float32_gflop_s()
    return tuple(1e9 * x for x in reads + products)


def kernel(format: Format, threads: int, least_bytes: int) -> Kernel:
    """The format's rates, decoding a weight that takes at least so many bytes where the kernel reads it."""
    values = np.random.default_rng(0).standard_normal((PANEL, COLUMNS), np.float32) / 32
    panel = format.quantize(values) if format.encodes else kernels.quantize(format, values)
    x = np.random.default_rng(1).standard_normal((PREFILL_TOKENS, COLUMNS), np.float32)
    y = np.ascontiguousarray(x[:, :PREFILL_COLUMNS])
    rows = -(-least_bytes // kernels.bytes_read(format, PANEL, COLUMNS)) * PANEL
    large = kernels.packed(_weight(format, panel, rows), threads=threads)
    decode = _typical(lambda: large.multiply(x[:1], False), DECODE_SECONDS)
    few = min(MOST_ROWS, PREFILL_ROWS * threads)
    small = kernels.packed(_weight(format, panel[:, : format.row_bytes(PREFILL_COLUMNS)], few), threads=threads)
    prefill = _typical(lambda: small.multiply(y, True), PREFILL_SECONDS)
    operations = 2 * few * PREFILL_COLUMNS * PREFILL_TOKENS
    return Kernel(rows * format.row_bytes(COLUMNS) / decode, operations / prefill)


def _weight(format: Format, panel: np.ndarray[Any, np.dtype[np.uint8]], rows: int) -> QuantizedTensor:
    shape = rows, format.columns(panel.shape[1])
    return QuantizedTensor("measured", shape, format, np.tile(panel, (rows // PANEL, 1)))


def _typical(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the median round, of rounds for about so long in all."""
    work()  # what it reads and writes is in place
    rounds: list[float] = []
    while len(rounds) < LEAST_ROUNDS or sum(rounds) < seconds:
        started = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - started)
    return statistics.median(rounds)
