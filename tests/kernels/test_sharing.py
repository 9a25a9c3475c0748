"""Work shared among threads is complete and in order, and the state of BLAS is restored."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from kernels.random_models import random_model

from bitwright import formats, kernels
from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor
from bitwright.kernels import WeightBank, sharing
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.kernels.tape import Tape


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 64])
def test_parts_cover_a_range_in_order(threads: int, count: int) -> None:
    parts = Sharing(threads).map(lambda part: part, count, 3)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    assert len(parts) == max(1, min(threads, count // 3))
    assert len(parts) == 1 or min(part.stop - part.start for part in parts) >= 3


@pytest.mark.parametrize("threads", [0, -1, 1 << 40])
def test_no_entry_takes_an_impossible_number_of_threads(threads: int) -> None:
    format, values = formats.get("q4_0"), np.eye(32, dtype=np.float32)
    packed = kernels.quantize(format, values)
    calls = (
        lambda: Sharing(threads),
        lambda: WeightBank(threads=threads),
        lambda: kernels.Meter(threads),
        lambda: kernels.dequantize(format, packed, threads),
        lambda: kernels.quantize(format, values, threads=threads),
        lambda: kernels.feedback(format, values, values, threads=threads),
        lambda: kernels.matmul(QuantizedTensor("w", (32, 32), format, packed), values, threads=threads),
    )
    for call in calls:
        with pytest.raises(UsageError, match="threads must be at (least 1|most 4096), got"):
            call()


def test_each_runs_all_items_together_and_reports_errors() -> None:
    together = threading.Barrier(3, timeout=10)  # no thread passes alone
    seen: list[int] = []

    def work(item: int) -> None:
        together.wait()
        seen.append(item)

    Sharing(3).each(work, range(3))
    assert sorted(seen) == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        Sharing(2).each(lambda item: 1 // item and None, [1, 0])


def test_blas_has_one_thread_inside_and_is_restored_after() -> None:
    count = sharing._openblas("get")
    if count is None:
        pytest.skip("NumPy's BLAS here is no OpenBLAS")
    before = count()
    with pytest.raises(KeyError), single_blas():
        assert count() == 1
        raise KeyError
    assert count() == before


@pytest.mark.parametrize("threads", [2, 3])
def test_a_shared_step_gives_the_same_result(threads: int) -> None:
    """Forward and backward agree up to rounding: each share has whole rows and heads."""
    step, weights = random_model(gemma=True, heads=6, kv_heads=3)
    ids = np.arange(100) % 101
    found = []
    for number in (1, threads):
        shown: list[np.ndarray] = []
        tape = Tape(
            step, weights, lambda name, rows: weights[name] if rows is None else weights[name][rows], np.float64,
            sharing=Sharing(number),
        )  # fmt: skip
        tape.gradients(ids, lambda rows, logits: np.sin(logits), lambda op, x, y, out=shown: out.append(y))
        found.append(shown)
    assert len(found[0]) == len(step.ops)
    for one, several in zip(*found, strict=True):
        np.testing.assert_allclose(several, one, rtol=0, atol=1e-12 * np.abs(one).max())
