"""Threads for NumPy, whose loops and BLAS release the interpreter's lock, so that threads can share an array.

BLAS's own threads do worse here: they parallelize only the products, and spin while they wait for one another.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bitwright.kernels._native import thread_count, usable_cores, warn_of_fewer_threads

Result = TypeVar("Result")
Item = TypeVar("Item")


class Sharing:
    """Splits work among `threads` threads (None: as many as this process may use cores); with one, the calling thread
    does it all."""

    def __init__(self, threads: int | None = 1) -> None:
        wanted = thread_count(threads)
        found = (_started(count) for count in (wanted, min(wanted, usable_cores())) if count > 1)
        self._pool = next((pool for pool in found if pool is not None), None)
        self.threads = self._pool._max_workers if self._pool else 1
        if self.threads < wanted:
            warn_of_fewer_threads(wanted, self.threads)

    def map(self, work: Callable[[slice], Result], count: int, least: int = 1) -> list[Result]:
        """work(part) of each part of range(count), in order; every part has at least `least` items."""
        shares = max(1, min(self.threads, count // least))
        ends = [count * i // shares for i in range(shares + 1)]
        parts = [slice(*pair) for pair in itertools.pairwise(ends)]
        if self._pool is None or shares == 1:
            return [work(part) for part in parts]
        return list(self._pool.map(work, parts))

    def each(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call work(item) for each item, on whichever thread is free."""
        for _ in map(work, items) if self._pool is None else self._pool.map(work, items):
            pass


def _started(threads: int) -> ThreadPoolExecutor | None:
    """A pool whose threads all run; None if the system cannot start so many."""
    pool, together = ThreadPoolExecutor(threads), threading.Barrier(threads)
    try:
        for begun in [pool.submit(together.wait) for _ in range(threads)]:
            begun.result()
    except (RuntimeError, MemoryError):  # "can't start new thread"
        together.abort()
        pool.shutdown()
        return None
    return pool


@contextlib.contextmanager
def single_blas() -> Iterator[None]:
    """Run NumPy's products on the calling thread if its BLAS is OpenBLAS; leave any other BLAS as it is."""
    setter, getter = _openblas("set"), _openblas("get")
    if setter is None or getter is None:
        yield
        return
    before = getter()
    setter(1)
    try:
        yield
    finally:
        setter(before)


def _openblas(verb: str) -> Any:
    """openblas_{set,get}_num_threads of NumPy's library, under the names that wheels and distributions use."""
    library = ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__)
    for before, after in itertools.product(("scipy_", ""), ("64_", "")):
        with contextlib.suppress(AttributeError):
            return library[f"{before}openblas_{verb}_num_threads{after}"]
    return None
