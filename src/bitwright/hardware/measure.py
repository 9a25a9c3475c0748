"""What this machine reaches: its limits, and for each format the rates of the engine's own kernels.

All figures are the fastest of several rounds: other work on a machine only ever slows one down.
"""

from __future__ import annotations

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
PREFILL_TOKENS, PREFILL_ROWS = 512, 512  # rows: of each thread, so many that turning the tokens to int8 hardly counts
LEAST_BYTES, MOST_BYTES = 64 << 20, 1 << 30  # of the weight that decoding is timed with: beyond the caches
CONVERTED_BYTES = 2 << 20  # of one that is converted first, which takes longer than reading it from anywhere
DECODE_SECONDS, PREFILL_SECONDS = 0.1, 0.15
LEAST_ROUNDS = 3
NO_WEIGHTS = {"q8_k", "float8_e8m0fnu"}  # formats of activations and of scales


@dataclass(frozen=True)
class Kernel:
    """A format's products with one token, in bytes of the weight (as a file stores it) a second, read from memory; and
    with 512 tokens, in operations a second (a product and a sum are two)."""

    decode: float
    prefill: float


@dataclass(frozen=True)
class Measured:
    """Bytes a second that are read from memory by all threads and by one, operations a second of int8 dot products and
    of float multiply-add (which bfloat16 weights, too, are multiplied by); and each format's kernels by name."""

    date: str
    tier: str
    threads: int
    read: float
    read_one_core: float
    int8: float
    float: float
    kernels: Mapping[str, Kernel]


def measure(threads: int, last_cache_bytes: int | None, report: Callable[..., None] = lambda *_: None) -> Measured:
    """Measure it all, in about fifteen seconds."""
    tier = kernels.tier()
    paths = {c.format: c.decode for c in kernels.coverage() if c.tier == tier and c.format not in NO_WEIGHTS}
    names = [name for name, path in paths.items() if path != "reference"]
    meter = kernels.Meter(threads)
    limits = meter.read_gb_s(), kernels.Meter(1).read_gb_s(), meter.int8_gop_s(), meter.bf16_gflop_s()
    del meter  # and its memory
    least = min(MOST_BYTES, max(LEAST_BYTES, 2 * (last_cache_bytes or 0)))
    rates = {}
    for done, name in enumerate(names, 1):
        rates[name] = kernel(formats.get(name), threads, CONVERTED_BYTES if paths[name] == "converted" else least)
        report(done, len(names), name)
    read, one_core, int8, floats = (1e9 * x for x in limits)
    return Measured(date.today().isoformat(), tier, threads, read, one_core, int8, floats, rates)


def kernel(format: Format, threads: int, least_bytes: int) -> Kernel:
    """The format's rates, decoding a weight that takes at least so many bytes where the kernel reads it."""
    values = np.random.default_rng(0).standard_normal((PANEL, COLUMNS), np.float32) / 32
    panel = format.quantize(values) if format.encodes else kernels.quantize(format, values)
    x = np.random.default_rng(1).standard_normal((PREFILL_TOKENS, COLUMNS), np.float32)
    rows = -(-least_bytes // kernels.bytes_read(format, PANEL, COLUMNS)) * PANEL
    large = kernels.packed(_weight(format, panel, rows), threads=threads)
    decode = _fastest(lambda: large.multiply(x[:1], False), DECODE_SECONDS)
    small = kernels.packed(_weight(format, panel, PREFILL_ROWS * threads), threads=threads)
    prefill = _fastest(lambda: small.multiply(x, True), PREFILL_SECONDS)
    operations = 2 * PREFILL_ROWS * threads * COLUMNS * PREFILL_TOKENS
    return Kernel(rows * format.row_bytes(COLUMNS) / decode, operations / prefill)


def _weight(format: Format, panel: np.ndarray[Any, np.dtype[np.uint8]], rows: int) -> QuantizedTensor:
    return QuantizedTensor("measured", (rows, COLUMNS), format, np.tile(panel, (rows // PANEL, 1)))


def _fastest(work: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest round; at least a few, and for about so long in all."""
    rounds: list[float] = []
    while len(rounds) < LEAST_ROUNDS or sum(rounds) < seconds:
        started = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - started)
    return min(rounds)
