"""Threads for NumPy: its loops and its BLAS let go of the interpreter's lock, so shares of an array can be worked on at
once. BLAS's own threads do worse here: they know nothing of what lies between products, and wait for one another awake.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Sharing:
    """Splits work among `threads` threads; with one, all happens where it is called from."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def map(self, work: Callable[[slice], Result], count: int, least: int = 1) -> list[Result]:
        """work(part) of each part of range(count), in order; a part is `least` long or longer."""
        shares = max(1, min(self.threads, count // least))
        ends = [count * i // shares for i in range(shares + 1)]
        parts = [slice(*pair) for pair in itertools.pairwise(ends)]
        if self._pool is None or shares == 1:
            return [work(part) for part in parts]
        return list(self._pool.map(work, parts))

    def each(self, work: Callable[[int], None], items: Iterable[int]) -> None:
        """work(item) of each, by whichever thread is free."""
        for _ in map(work, items) if self._pool is None else self._pool.map(work, items):
            pass


@contextlib.contextmanager
def single_blas() -> Iterator[None]:
    """NumPy's products on the thread that calls them, where its BLAS is an OpenBLAS; another BLAS is left as it is."""
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
    """openblas_{set,get}_num_threads, as wheels or distributions name it, from what NumPy is linked to."""
    library = ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__)
    for before, after in itertools.product(("scipy_", ""), ("64_", "")):
        with contextlib.suppress(AttributeError):
            return library[f"{before}openblas_{verb}_num_threads{after}"]
    return None
