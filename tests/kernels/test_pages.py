"""Pages of keys and values: forked, dropped, evicted, saved and restored; and weights that programs share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_models import MODELS, Weights, random_model, stored
from running import Running

from bitwright import formats
from bitwright.errors import BitwrightError, UsageError
from bitwright.formats import QuantizedTensor
from bitwright.kernels import KV, Executor, LayerShape, Memory, Program, WeightBank
from bitwright.kernels.memory import PAGE

TOKENS = np.random.default_rng(8).integers(0, 101, 400)


def read(own: Running, start: int, stop: int, sequence: int = 0) -> np.ndarray:
    """Reads tokens start to stop of TOKENS and returns the logits after the last."""
    n = np.arange(start, stop)
    return own.run(TOKENS[start:stop], n, np.full(len(n), sequence), [len(n) - 1])


def running(name: str = "llama", **options: Any) -> Running:
    step, weights = random_model(**MODELS[name])
    return Running(step, stored(weights), **({"context": 400, "sequences": 3, "batch": 64, "threads": 2} | options))


@pytest.mark.parametrize("kv", KV)
@pytest.mark.parametrize("name", ["llama", "gemma"])  # gemma: layers with windows
@pytest.mark.parametrize("length", [5, 64, 150, 333])
def test_a_fork_continues_independently_of_its_source(name: str, kv: str, length: int) -> None:
    own = running(name, kv=kv)
    read(own, 0, length)
    own.memory.fork(0, 1)
    assert own.lengths == [length, length, 0]
    forked = read(own, length, length + 9, 1)
    others = own.run(TOKENS[6::-1], np.arange(length, length + 7), np.zeros(7, int), [6])  # the source reads on
    again = running(name, kv=kv)
    read(again, 0, length)
    assert np.array_equal(forked, read(again, length, length + 9))
    assert not np.array_equal(forked, others)
    assert np.array_equal(read(own, length + 9, length + 20, 1), read(again, length + 9, length + 20))


def test_a_fork_takes_pages_only_when_it_writes() -> None:
    own = running()
    read(own, 0, 150)
    used = own.memory.bytes_in_use
    own.memory.fork(0, 1)
    own.memory.fork(0, 2)
    assert own.memory.bytes_in_use == used
    read(own, 150, 151, 1)  # a copy of the shared last page
    assert own.memory.bytes_in_use == used * 4 / 3
    read(own, 150, 151, 2)
    read(own, 150, 151, 0)  # its page is no longer shared
    assert own.memory.bytes_in_use == used * 5 / 3
    for sequence in (1, 2, 0):
        own.memory.drop(sequence)
    assert own.memory.bytes_in_use == 0 and own.lengths == [0, 0, 0]


def test_forking_4096_tokens_takes_no_page() -> None:
    """The shape of SmolLM2's memory; benchmarks/bench_sessions.py times it."""
    memory = Memory([LayerShape(3, 64)] * 30, context=4200, sequences=2)
    memory.restore(0, saved_of(memory, 4096))
    used = memory.bytes_in_use
    memory.fork(0, 1)
    assert memory.bytes_in_use == used and memory.lengths == [4096, 4096]


def saved_of(memory: Memory, length: int) -> np.ndarray:
    """A sequence of zeros as `save` writes it, for a memory without windows."""
    layout = memory.save(0)[: -2 * 8]
    pages = -(-length // PAGE) * (memory.bytes // memory.sequences // -(-memory.context // PAGE))
    return np.concatenate([layout, np.array([length, 0], np.int64).view(np.uint8), np.zeros(pages, np.uint8)])


@pytest.mark.parametrize("name", ["llama", "gemma"])
@pytest.mark.parametrize("kv", ["f16", "q8_0", "q4_0"])
def test_a_saved_sequence_continues_in_another_memory(name: str, kv: str) -> None:
    own, other = running(name, kv=kv), running(name, kv=kv, sequences=1)
    for start in range(0, 300, 50):
        read(own, start, start + 50, 2)
    saved = own.memory.save(2)
    other.memory.restore(0, saved)
    assert other.lengths == [300] and other.earliest == [own.earliest[2]]
    assert np.array_equal(read(other, 300, 340), read(own, 300, 340, 2))


def test_a_bad_saved_sequence_is_refused_and_changes_nothing() -> None:
    own = running()
    read(own, 0, 70)
    expected = read(own, 70, 71)
    own.memory.drop(0, 70)
    saved = own.memory.save(0)
    longer, first = saved.copy(), saved.copy()
    at = bytes(saved).index(b"\0") + 1
    longer[at : at + 8].view(np.int64)[:] = 130
    first[at + 8 : at + 16].view(np.int64)[:] = 1
    negative = saved.copy()
    negative[at : at + 8].view(np.int64)[:] = -1
    for wrong in (saved[:-1], saved[:at], saved[:3], np.append(saved, np.uint8(0)), longer, first, negative):
        with pytest.raises(UsageError, match="is incomplete, or its memory had another layout"):
            own.memory.restore(0, wrong)
    with pytest.raises(UsageError, match="layout"):
        running(kv="q8_0").memory.restore(0, saved)
    assert own.lengths == [70, 0, 0] and np.array_equal(read(own, 70, 71), expected)


def test_dropping_a_tail_frees_its_pages() -> None:
    own = running()
    read(own, 0, 200)
    used = own.memory.bytes_in_use
    expected = read(own, 200, 210)
    own.memory.drop(0, 200)
    assert np.array_equal(read(own, 200, 210), expected)
    own.memory.drop(0, 65)
    assert own.memory.bytes_in_use == used / 2 and own.lengths == [65, 0, 0]
    own.memory.evict(0)
    assert own.memory.bytes_in_use == 0 and own.lengths == [0, 0, 0]
    read(own, 0, 200)
    assert np.array_equal(read(own, 200, 210), expected)
    for keep in (-1, 211):
        with pytest.raises(UsageError, match=r"can keep 0 to 210 of its positions"):
            own.memory.drop(0, keep)


def test_forgotten_positions_of_a_window_cannot_be_restored() -> None:
    own = running("gemma")
    for start in range(0, 400, 50):
        read(own, start, start + 50)
    lowest = own.earliest[0]
    assert 0 < lowest < 400
    with pytest.raises(UsageError, match=f"can keep 0 or {lowest} to 400"):
        own.memory.drop(0, lowest - 1)
    own.memory.drop(0, lowest)
    assert own.lengths[0] == lowest


@pytest.mark.parametrize("sequence", [-1, 3, 2**40])
def test_a_missing_sequence_is_refused(sequence: int) -> None:
    memory = running().memory
    for call in (memory.drop, memory.evict, memory.save, lambda s: memory.fork(s, 0), lambda s: memory.fork(0, s)):
        with pytest.raises(UsageError, match="expected a sequence from 0 to 2"):
            call(sequence)


@pytest.mark.parametrize(
    "sizes",
    [{"context": 2**56}, {"context": 2**31}, {"batch": 2**60}, {"batch": 0}, {"sequences": 2**40}, {"context": -5}],
)
def test_sizes_are_bounded_before_any_arithmetic(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(sizes))} must be at least 1 and at most"):
        running(**sizes)


def test_too_much_memory_is_an_error() -> None:
    with pytest.raises(BitwrightError):
        Memory([LayerShape(2**20, 1024)] * 64, context=2**31 - 1, sequences=2**16)


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_sequences_take_what_they_are_said_to(name: str) -> None:
    for length in (1, 63, 64, 65, 200, 399):
        own = running(name)
        for start in range(0, length, 50):
            read(own, start, min(start + 50, length))
        assert own.memory.bytes_in_use == own.memory.bytes_for(length)
    assert own.memory.bytes_for(400) * 3 == own.memory.bytes == running(name, room=1 << 40).memory.bytes


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_there_is_room_for_one_text_and_as_many_as_were_asked_for(name: str) -> None:
    """A step for which there is none leaves its sequence as it was, and the others too."""
    least = running(name, room=0).memory
    assert least.bytes == least.bytes_for(400)
    own, free = running(name, room=2 * least.bytes_for(400)), running(name)
    for start in range(0, 350, 50):
        for sequence in (0, 1):
            assert np.array_equal(read(own, start, start + 50, sequence), read(free, start, start + 50, sequence))
    saved = own.memory.save(0)
    with pytest.raises(BitwrightError, match="take more than the"):
        for start in range(0, 350, 50):
            read(own, start, start + 50, 2)
    with pytest.raises(BitwrightError, match="take more than the"):
        own.memory.restore(2, saved)
    assert own.lengths == [350, 350, 0] and own.memory.bytes_in_use <= own.memory.bytes
    own.memory.evict(1)
    own.memory.restore(2, saved)
    expected = read(free, 350, 370)
    assert np.array_equal(read(own, 350, 370, 2), expected) and np.array_equal(read(own, 350, 370), expected)


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_a_saved_sequence_continues_in_a_memory_of_another_context(name: str) -> None:
    own, longer, shorter = running(name), running(name, context=900), running(name, context=300)
    for start in range(0, 350, 50):
        read(own, start, start + 50)
    saved = own.memory.save(0)
    longer.memory.restore(0, saved)
    assert np.array_equal(read(longer, 350, 380), read(own, 350, 380))
    with pytest.raises(UsageError, match="layout"):
        shorter.memory.restore(0, saved)
    with pytest.raises(UsageError, match="the same layers, heads, format and context"):
        longer.memory.adopt(own.memory, 1, 0, 50)


def test_states_are_forked_saved_and_cleared_with_their_sequence() -> None:
    memory = Memory([], context=8, sequences=2, states=[5, 40])
    assert memory.bytes == memory.bytes_in_use == 2 * 4 * (16 + 48)  # in whole runs of 16 floats
    saved = memory.save(0)
    at = bytes(saved).index(b"\0") + 1
    saved[at : at + 8].view(np.int64)[:] = 3
    saved[at + 8 :].view(np.float32)[:] = np.arange(64)
    memory.restore(0, saved)
    memory.fork(0, 1)
    assert memory.lengths == [3, 3] and np.array_equal(memory.save(1), saved)
    with pytest.raises(UsageError, match="can keep 0 or 3 of its positions"):
        memory.drop(1, 2)  # a state cannot rewind
    memory.drop(1)
    assert not memory.save(1)[at:].any() and np.array_equal(memory.save(0), saved)


def quantized(weights: Weights, **named: str) -> dict[str, QuantizedTensor]:
    found = stored(weights)
    for name, format in named.items():
        f = formats.get(format)
        found[name] = QuantizedTensor(name, weights[name].shape, f, f.quantize(weights[name]))
    return found


def test_programs_share_equal_matrices() -> None:
    step, weights = random_model(width=64, layers=2)
    q8 = {name: "q8_0" for name, w in weights.items() if w.ndim == 2 and w.shape[1] % 32 == 0}
    tensors, bank = quantized(weights, **q8), WeightBank(threads=2)
    first = Program(step, tensors, bank)
    packed, count = bank.bytes, len(bank)
    second = Program(step, tensors, bank)
    assert (bank.bytes, len(bank)) == (packed, count)
    name = next(n for n in q8 if n.endswith("q"))
    other = quantized({name: weights[name]}, **{name: "q4_0"})
    swapped = second.replace(other)
    assert len(bank) == count + 1 and packed < bank.bytes < packed + 2 * tensors[name].nbytes
    ids = np.arange(30)

    def logits(program: Program) -> np.ndarray:
        return Executor(program, 64, 2).run(Memory(program.layers, 64), TOKENS[:30], ids, 0 * ids, ids)

    fresh = Program(step, tensors | other, WeightBank(threads=2))
    assert np.array_equal(logits(swapped), logits(fresh))
    assert np.array_equal(logits(first), logits(second)) and not np.array_equal(logits(first), logits(swapped))
    del first, second, swapped
    assert len(bank) == 0 and bank.bytes == 0
