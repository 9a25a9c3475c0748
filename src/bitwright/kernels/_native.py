"""The compiled module, imported on first use."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.formats import Format

# blocks.h: formats that GGUF has no id for
BEYOND_GGUF = {
    name: 1000 + i
    for i, name in enumerate(
        ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")
    )
}
MOST_THREADS = 4096  # more than any machine runs at once


@cache
def core() -> Any:
    """The module `_core`; BitwrightError says what to do if it has not been built."""
    try:
        from bitwright.kernels import _core
    except ImportError as error:
        if "_core" not in str(error):
            raise BitwrightError(f"the compiled module does not load ({error}): run make") from None
        raise BitwrightError("the compiled module is missing: run make") from None
    return _core


@cache
def digest() -> str:
    """SHA-256 of the compiled module, on which the layout of packed weights depends."""
    return hashlib.sha256(Path(core().__file__).read_bytes()).hexdigest()


@cache
def usable_cores() -> int:
    """Cores that this process may run on and has the time of: a control group may allow it fewer than the system
    lists."""
    from bitwright.kernels import cores

    allowed, (quota, _) = int(core().usable_cores()), cores.cgroup_limits()
    return allowed if quota is None else max(1, min(allowed, round(quota)))


@cache
def best_threads() -> int:
    """The threads that a model runs best on, the default of engines: one for each fast core on a chip that has two
    kinds (not measured on one), else one for each usable core."""
    from bitwright.kernels import cores

    return min(cores.fast_cores() or usable_cores(), usable_cores())


def thread_count(threads: int | None) -> int:
    """A number of threads, by default all usable cores; UsageError if it is out of range."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}")
    if threads is not None and threads > MOST_THREADS:
        raise UsageError(f"threads must be at most {MOST_THREADS}, got {threads}")
    return threads or usable_cores()


@cache
def warn_of_fewer_threads(wanted: int, started: int) -> None:
    """Say, once, that the system could not start as many threads as the user wants."""
    import logging

    logging.getLogger(__name__).warning(
        "%d threads could not be started (too little memory, or too many processes): running on %d", wanted, started
    )


@contextlib.contextmanager
def allocating(what: str) -> Iterator[None]:
    """Say in one line for what there was not enough memory."""
    try:
        yield
    except MemoryError:
        raise BitwrightError(f"not enough memory for {what}") from None


def format_id(format: Format) -> int:
    """blocks.h's FormatId of a format; UnsupportedError if the native core has none."""
    id = format.ggml if format.ggml is not None else BEYOND_GGUF.get(format.name)
    if id is None:
        raise UnsupportedError("a weight of format", format.name, [*BEYOND_GGUF, "every format with a GGUF type"])
    if format.name.startswith("iq"):
        from bitwright.kernels import codebooks

        codebooks.load(core())
    return id
