"""A model that memory does not hold: it runs from a mapped file, and how fast depends on the disk."""

from __future__ import annotations

import mmap
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.hardware import detect

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine

SAMPLE = 64 << 20  # bytes of a file that are read to time the disk


@dataclass(frozen=True)
class Paging:
    """weights: bytes that products read. available: bytes of memory for them. tokens_per_second: in decoding, None if
    the disk could not be timed."""

    weights: int
    available: int
    tokens_per_second: float | None


def paging(engine: Engine) -> Paging | None:
    """How a model runs whose weights are more than the memory available; None if they fit, or if the system does not
    say how much there is.

    Decoding goes through all weights in the same order for every token, so that each page is dropped before it is
    needed again: what a token reads, it reads from the disk.
    """
    available, weights = detect.available(), engine.weights
    if available is None or weights <= available:
        return None
    rate = disk_rate(max(engine.model.opened().paths, key=lambda path: path.stat().st_size))
    return Paging(weights, available, rate and rate / engine.model.bytes_per_token)


def disk_rate(path: Path) -> float | None:
    """Bytes per second at which pages of a file come from the disk when a mapping is read in order; None where pages
    cannot be dropped first, or if the file is too small to tell."""
    size = path.stat().st_size
    if sys.platform in ("win32", "darwin") or size < 2 * SAMPLE:
        return None
    begin = size // 2 // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), begin, SAMPLE, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), SAMPLE, access=mmap.ACCESS_READ, offset=begin) as pages:
            started = time.perf_counter()
            sum(pages[:: mmap.PAGESIZE])
            return SAMPLE / (time.perf_counter() - started)
