"""Ops with a state: against the oracle, however a text is cut into calls, and through all that a memory does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import U, values, within
from float_error import FloatError
from random_models import random_hybrid, stored
from running import Running
from test_program import run_op

from bitwright.errors import BitwrightError, UsageError
from bitwright.kernels import Executor, Memory, Program, Step, WeightBank, tiers

TOKENS = np.random.default_rng(4).integers(0, 101, 150)
SHAPES: dict[str, dict[str, Any]] = {
    "usual": {},
    "heads in groups": {"tiled": False, "seed": 1},
    "runs of 16": {"key_dim": 16, "value_dim": 32, "heads": 2, "seed": 2},
    "one head": {"key_heads": 1, "heads": 1, "key_dim": 3, "value_dim": 1, "taps": 2, "seed": 3},
    "wide": {"key_heads": 1, "heads": 3, "key_dim": 70, "value_dim": 65, "seed": 4},
    "scan": {"scans": True, "seed": 5},
    "scan of one head": {"scans": True, "key_heads": 1, "heads": 1, "key_dim": 3, "value_dim": 1, "taps": 2, "seed": 6},
    "wide scan": {"scans": True, "key_heads": 1, "heads": 3, "key_dim": 70, "value_dim": 65, "seed": 7},
}


def running(name: str = "usual", tier: str | None = None, **options: Any) -> Running:
    step, weights = random_hybrid(**SHAPES[name])
    return Running(
        step, stored(weights), **{"context": 200, "sequences": 3, "batch": 150, "threads": 2} | options, tier=tier
    )


def read(own: Running, begin: int, end: int, sequence: int = 0, tokens: np.ndarray = TOKENS) -> np.ndarray:
    """The logits after each of some tokens of a sequence."""
    where = np.arange(begin, end)
    return own.run(tokens[begin:end], where, 0 * where + sequence, where - begin)


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("activation", ["silu", None])
@pytest.mark.parametrize("bias", ["b", None])
@pytest.mark.parametrize("width", [1, 7, 16, 33, 257, 300])
@pytest.mark.parametrize("taps", [2, 4, 16])
def test_a_convolution(taps: int, width: int, bias: str | None, activation: Any, tier: str) -> None:
    weights = {"x": values(40, width), "w": values(width, taps, seed=1), "b": values(width, seed=2)}
    got, expected = run_op(lambda s, x: s.convolution(x, "w", 0, activation, bias), weights, 40, tier=tier)
    padded = np.concatenate([np.zeros((taps - 1, width)), np.abs(weights["x"])])
    terms = sum(padded[k : k + 40] * np.abs(weights["w"][:, k]) for k in range(taps))
    terms += np.abs(weights["b"]) if bias else 0
    # a rounding for each tap; SiLU has a slope below 1.1, and its e^z is off by 2 ulp and the rounding of z times |z|
    within(
        got, expected, 1.1 * taps * U * terms + (12 * U * (1 + terms) * np.abs(expected) if activation else 0) + 1e-34
    )


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("width", [1, 8, 33, 100])
def test_decays_and_gates(width: int, tier: str) -> None:
    x = values(19, width, scale=4)
    x[0] = np.linspace(-100, 100, width)
    weights = {"x": x, "w": values(width, seed=1), "b": values(width, seed=2)}
    got, expected = run_op(lambda s, x: s.decay(x, "b", "w"), weights, 19, tier=tier)
    # a sum x + b off by one rounding, which the logarithm below 0 multiplies, and 4 roundings
    size = np.abs(x) + np.abs(weights["b"])
    within(got, expected, U * (4 + size) * np.abs(expected) + 1e-37)
    got, expected = run_op(lambda s, x: s.decay(x, "b"), weights, 19, tier=tier)
    within(got, expected, U * (4 + size) * np.abs(expected) + 1e-37)
    got, expected = run_op(lambda s, x: s.glu(x, s.scale(x, 0.5), "sigmoid"), weights, 19, tier=tier)
    within(got, expected, (1 + np.abs(x)) * 12 * U * np.abs(expected) + 1e-34)
    got, expected = run_op(lambda s, x: s.gate(x, s.scale(x, 0.5), "w"), weights, 19, tier=tier)
    terms = np.abs(x / 2 @ np.abs(weights["w"]))[:, None] + np.abs(x / 2) @ np.abs(weights["w"])[:, None]
    within(got, expected, (1 + width * terms) * 12 * U * np.abs(expected) + 1e-34)


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("name", SHAPES)
def test_a_text_in_pieces_of_any_size(name: str, tier: str) -> None:
    own, (step, weights) = running(name, tier), random_hybrid(**SHAPES[name])
    error = FloatError(step, weights, TOKENS)
    error.check(own, 0, TOKENS, read(own, 0, 150))
    pieces = [read(own, begin, end, 1) for begin, end in ((0, 1), (1, 6), (6, 30), (30, 55), (55, 56), (56, 150))]
    error.check(own, 1, TOKENS, np.concatenate(pieces))


def test_sequences_take_turns_within_a_call() -> None:
    own, (step, weights) = running(), random_hybrid()
    error = FloatError(step, weights, TOKENS)
    texts = [TOKENS, TOKENS[::-1].copy(), TOKENS[3:]]
    for begin, end in ((0, 1), (1, 40), (40, 70)):
        order = np.random.default_rng(begin).permutation(np.repeat([0, 1, 2], end - begin))
        where = np.empty_like(order)
        for sequence in range(3):
            where[order == sequence] = np.arange(begin, end)
        tokens = np.array([texts[sequence][at] for sequence, at in zip(order, where, strict=True)])
        got = np.concatenate([own.run(tokens[i:j], where[i:j], order[i:j], np.arange(j - i))
                              for i, j in ((0, len(order) // 2), (len(order) // 2, len(order)))])  # fmt: skip
        for sequence, text in enumerate(texts):
            error.check(own, sequence, text[:end], got[order == sequence])


def test_a_sequence_is_forked_saved_restored_and_adopted() -> None:
    own, other = running(), running()
    read(own, 0, 90)
    saved = own.memory.save(0)
    own.memory.fork(0, 1)
    expected = read(own, 90, 150)
    assert np.array_equal(read(own, 90, 150, 1), expected)
    other.memory.restore(2, saved)
    assert np.array_equal(read(other, 90, 150, 2), expected)
    again = running()
    again.memory.restore(1, saved)
    other.memory.adopt(again.memory, 1, 0, 90)
    assert np.array_equal(read(other, 90, 150, 1), expected)
    with pytest.raises(UsageError, match="cannot take positions 0 to 80"):  # where the other's state no longer is
        other.memory.adopt(again.memory, 1, 0, 80)
    read(again, 0, 89)
    again.memory.fork(0, 2)
    read(again, 89, 90)
    other.memory.adopt(again.memory, 0, 0, 90)
    read(again, 90, 91)
    other.memory.adopt(again.memory, 0, 90, 91)
    assert np.array_equal(other.memory.save(0), again.memory.save(0))


def test_a_state_goes_back_to_its_beginning_only() -> None:
    own = running()
    expected = read(own, 0, 90)
    assert own.earliest == [90, 0, 0]
    with pytest.raises(UsageError, match="can keep 0 or 90 of its positions, not 89"):
        own.memory.drop(0, 89)
    with pytest.raises(UsageError, match=r"positions\[0\] is 89, expected 90 to 90, or 0"):
        read(own, 89, 91)
    assert np.array_equal(read(own, 0, 90), expected)
    own.memory.drop(0)
    assert np.array_equal(read(own, 0, 90), expected)
    own.memory.evict(0)
    assert np.array_equal(read(own, 0, 90), expected)


def test_after_a_failure_a_sequence_is_empty() -> None:
    own = running()
    expected = read(own, 0, 90)
    large = stored({"1.k": own.program.weights["1.k"].dequantize() * np.float32(1e30)})  # more than float16 holds
    failing, where = Executor(own.program.replace(large), 150, 2), np.arange(90, 100)
    with pytest.raises(BitwrightError, match="the f16 cache cannot hold"):
        failing.run(own.memory, TOKENS[where], where, 0 * where, [9])
    assert own.lengths == [0, 0, 0]
    assert np.array_equal(read(own, 0, 90), expected)


def test_parts_equal_the_whole_to_the_bit() -> None:
    own, n = running(), np.arange(90)
    parts = [own.program.cut(end=1), own.program.cut(1, 2), own.program.cut(2)]
    memories = [Memory(own.program.layers, 200, batch=90, states=own.program.states) for _ in parts]
    executors = [Executor(part, 90, 2) for part in parts]
    for piece in (slice(0, 50), slice(50, 90)):
        x, where = None, n[piece]
        for memory, executor in zip(memories, executors, strict=True):
            x = executor.run(memory, TOKENS[piece], where, 0 * where, where - piece.start, x)
        assert np.array_equal(x, read(own, piece.start, piece.stop))


def test_a_memory_for_other_states_is_refused() -> None:
    own = running()
    memory = Memory(own.program.layers, 200)
    with pytest.raises(UsageError, match="made for a program with other layers"):
        own.executor.run(memory, [1], [0], [0], [0])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda s, x: s.convolution(x, "one tap", 0), "one tap should be"),
        (lambda s, x: s.convolution(x, "flat", 0), "number of dimensions of flat"),
        (lambda s, x: s.delta_rule(x, x, x, 0, 2, 3, 3, 4, True), "3 heads cannot share 2 heads of keys evenly"),
        (lambda s, x: s.delta_rule(x, x, x, 0, 1, 3, 2, 1, True), "widths of x, decays and betas"),
        (lambda s, x: s.convolution(x, "two taps", 0, bias="four"), "shape of four"),
        (lambda s, x: s.scan(x, x, x, "flat", 0, 2, 3, 3, 4), "3 heads cannot share 2 heads of keys evenly"),
        (lambda s, x: s.scan(x, x, x, "flat", 0, 1, 3, 2, 1), "widths of x, decays and steps"),
        (lambda s, x: s.scan(s.linear(x, "wide"), x, x, "four", 0, 1, 4, 8, 2), "the values of four"),
        (lambda s, x: s.decay(x, "four"), "the values of four"),
        (lambda s, x: s.convolution(s.convolution(x, "two taps", 0), "two taps", 0), "layer 0 has one already"),
    ],
)
def test_wrong_uses_are_refused(build: Any, expected: str) -> None:
    step = Step()
    weights = {"x": values(4, 8), "one tap": values(8, 1), "flat": values(8), "two taps": values(8, 2)}
    weights |= {"four": values(4), "wide": values(24, 8)}
    with pytest.raises(BitwrightError, match=expected):
        step.logits(step.select(build(step, step.embed("x"))))
        Program(step, stored(weights), WeightBank())
