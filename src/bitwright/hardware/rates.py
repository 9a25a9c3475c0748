"""What this machine reaches: its limits, and the rates of the engine's kernels for each format.

A rate is the median round of the best of several passes. Other work only ever slows a machine down, so the best pass
counts; but a single lucky round is faster than a model can expect. `bitwright bench` likewise reports its fastest
round, a mean over many tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from bitwright import formats, kernels
from bitwright.formats import Format, QuantizedTensor

COLUMNS = 4096
PANEL = 32  # rows that are encoded; the rest are copies, which take as long to multiply
PREFILL_TOKENS, PREFILL_COLUMNS = 512, 2048
PREFILL_ROWS, MOST_ROWS = 1024, 8192  # rows per thread and in all, as many as a model has
LEAST_BYTES, MOST_BYTES = 64 << 20, 1 << 30  # of the weight that decoding is timed with: larger than the caches
FLOAT_BYTES = 256 << 20  # of float weights, which need no packing; caches would hold part of a smaller one
CONVERTED_BYTES = 2 << 20  # of a weight that is converted first, which takes longer than reading it
PASSES = 3  # over all formats: other work slows a machine down for about a second at a time
FEW, FEW_PASSES = 16, 2  # so many formats, as a plan needs, are measured in seconds
DECODE_SECONDS, PREFILL_SECONDS = 0.05, 0.08  # in a pass
LEAST_ROUNDS = 3
NO_WEIGHTS = {"q8_k", "float8_e8m0fnu"}  # formats of activations and of scales


@dataclass(frozen=True)
class Kernel:
    """A format's speed. With one token: bytes of the weight, as a file stores it, per second, read from memory. With
    512 tokens: operations per second (a multiplication and an addition are two)."""

    decode: float
    prefill: float

    def faster(self, other: Kernel) -> Kernel:
        """The higher of each rate."""
        return Kernel(max(self.decode, other.decode), max(self.prefill, other.prefill))


@dataclass(frozen=True)
class Measured:
    """Bytes per second that all threads and one thread read from memory; operations per second of int8 dot products, of
    bfloat16 products and of float32 multiply-add (which limits every float kernel); the kernels by format name."""

    date: str
    tier: str
    threads: int
    read: float
    read_one_core: float
    int8: float
    bf16: float
    float32: float
    kernels: Mapping[str, Kernel]


def measurable() -> dict[str, str]:
    """The formats that the tier in use has a kernel for, and how each decodes."""
    tier = kernels.tier()
    paths = {c.format: c.decode for c in kernels.coverage() if c.tier == tier and c.format not in NO_WEIGHTS}
    return {name: path for name, path in paths.items() if path != "reference"}


def measure(
    threads: int, last_cache_bytes: int | None, report: Callable[..., None] = lambda *_: None,
    names: Collection[str] | None = None,
) -> Measured:  # fmt: skip
    """Measure the limits and the kernels of the formats in `names` (None: all): some seconds, or a minute or two."""
    paths = measurable()
    names = list(paths) if names is None else [name for name in paths if name in names]
    passes = FEW_PASSES if len(names) <= FEW else PASSES
    total, limits, rates = passes * (len(names) + 1), [], dict[str, Kernel]()
    least = min(MOST_BYTES, max(LEAST_BYTES, 2 * (last_cache_bytes or 0)))
    for done in range(total):
        place = done % (len(names) + 1)
        report(done, total, names[place - 1] if place else "memory and arithmetic")
        if not place:
            limits.append(_limits(threads))
            continue
        name = names[place - 1]
        size = {"converted": CONVERTED_BYTES, "float": max(least, FLOAT_BYTES)}.get(paths[name], least)
        found = kernel(formats.get(name), threads, size)
        rates[name] = found.faster(rates.get(name, found))
    report(total, total)
    read, one_core, int8, bf16, float32 = map(max, *limits)
    today = date.today().isoformat()
    return Measured(today, kernels.tier(), threads, read, one_core, int8, bf16, float32, rates)


def _limits(threads: int) -> tuple[float, ...]:
    """Bytes per second that all threads and one read; operations per second of int8, bfloat16 and float32 products."""
    meter = kernels.Meter(threads)
    reads = meter.read_gb_s(), kernels.Meter(1).read_gb_s()
    products = meter.int8_gop_s(), meter.bf16_gflop_s(), meter.float32_gflop_s()
    return tuple(1e9 * x for x in reads + products)


def kernel(format: Format, threads: int, least_bytes: int) -> Kernel:
    """The format's rates, decoding with a weight that takes at least `least_bytes` as the kernel reads it."""
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
    """Seconds of the median round, of about `seconds` of rounds."""
    work()  # warm-up: its memory is mapped
    rounds: list[float] = []
    while len(rounds) < LEAST_ROUNDS or sum(rounds) < seconds:
        started = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - started)
    return statistics.median(rounds)
