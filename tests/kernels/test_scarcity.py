"""Too little memory and too many threads: fewer threads with a warning, or one line; never an aborted process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bitwright import system
from bitwright.errors import BitwrightError
from bitwright.kernels import _native, sharing
from bitwright.kernels.sharing import Sharing

MANY = """
import resource
import numpy as np
from bitwright import formats, kernels
from bitwright.formats import QuantizedTensor
from bitwright.kernels.sharing import Sharing

kernels.tier()
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + (192 << 20)  # the stacks of 3000 threads take more, however small they are
resource.setrlimit(resource.RLIMIT_AS, (most, most))

format, values = formats.get("q8_0"), np.eye(64, dtype=np.float32)
for threads in (3000, 3000, 4000, 2, 1):
    packed = kernels.quantize(format, values, threads=threads)
    kernels.WeightBank(threads=threads)
    tensor = QuantizedTensor("w", values.shape, format, packed)
    found = kernels.matmul(tensor, values, threads=threads)
    assert np.allclose(found, kernels.dequantize(format, packed, threads).T, atol=0.02)
assert sum(Sharing(3000).map(lambda part: part.stop - part.start, 6)) == 6
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_more_threads_than_can_be_started(tmp_path) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert {line.split(" ", 1)[0] for line in lines} == {"3000", "4000"}
    assert all("threads could not be started" in line for line in lines)


def test_shared_work_goes_on_with_the_threads_that_start(monkeypatch, caplog) -> None:
    _native.warn_of_fewer_threads.cache_clear()
    monkeypatch.setattr(sharing, "usable_cores", lambda: 3)
    started = sharing._started
    monkeypatch.setattr(sharing, "_started", lambda threads: None if threads > 3 else started(threads))
    few = Sharing(7)
    assert few.threads == 3 and few.map(lambda part: part.stop, 9) == [3, 6, 9]
    assert "7 threads could not be started" in caplog.text and "running on 3" in caplog.text
    monkeypatch.setattr(sharing, "_started", lambda threads: None)
    one = Sharing(2)
    assert one.threads == 1 and one.map(lambda part: part.stop, 9) == [9]


def test_a_thread_that_does_not_start_ends_those_that_did(monkeypatch) -> None:
    import threading

    real, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if len(begun) == 3:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert sharing._started(5) is None
    assert not any(thread.is_alive() for thread in begun)


def test_a_lack_of_memory_says_for_what() -> None:
    with pytest.raises(BitwrightError, match="^not enough memory for the cache$"), _native.allocating("the cache"):
        raise MemoryError("std::bad_alloc")
    assert system.has_room(1 << 20) and not system.has_room(1 << 62)


def test_a_tokenizer_is_not_begun_without_memory(monkeypatch) -> None:
    from bitwright.model import tokenizer_build

    monkeypatch.setattr(system, "has_room", lambda count: False)
    with pytest.raises(BitwrightError, match="not enough memory for a tokenizer of 2 tokens"):
        tokenizer_build._bpe({"a": 0, "b": 1}, [])
