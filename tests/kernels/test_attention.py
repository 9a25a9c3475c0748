"""Attention and its cache against the oracle: every format, windows, sinks, and ranges that threads share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from checks import U, values, within
from float_error import FloatError, RandomSteps
from numpy.typing import NDArray
from random_models import MODELS, Weights, random_model, stored
from running import Running

from bitwright.errors import BitwrightError, UsageError
from bitwright.kernels import KV, Oracle, Step, tiers
from bitwright.kernels.oracle import cached


@pytest.fixture(params=tiers())
def tier(request: pytest.FixtureRequest) -> str:
    return request.param


class Alone:
    """A single attention: exact products cut q, k and v out of an embedding, so that only the rounding of attention and
    of the cache remains. Token t of the vocabulary is row t of `x`."""

    def __init__(
        self,
        heads: int,
        kv_heads: int,
        head_dim: int,
        tokens: int,
        window: int | None = None,
        cap: float | None = None,
        sinks: bool = False,
    ) -> None:
        q, kv = heads * head_dim, kv_heads * head_dim
        self.shape, self.scale, self.tokens = (heads, kv_heads, head_dim), 2 * head_dim**-0.5, tokens
        self.x = values(tokens, q + 2 * kv).astype(np.float16).astype(np.float32)
        cut = np.eye(q + 2 * kv, dtype=np.float32)
        self.weights: Weights = {"x": self.x, "q": cut[:q], "k": cut[q : q + kv], "v": cut[q + kv :]}
        if sinks:
            self.weights["sinks"] = values(heads, seed=2, scale=3)
        self.step = Step()
        h = self.step.embed("x")
        parts = [self.step.linear(h, name) for name in "qkv"]
        y = self.step.attention(*parts, 7, *self.shape, self.scale, window, cap, "sinks" if sinks else None)
        self.step.logits(self.step.select(y))

    def program(self, **options: Any) -> Running:
        return Running(self.step, stored(self.weights), **({"threads": 2, "context": self.tokens} | options))

    def expected(self, kv: str) -> NDArray[np.float64]:
        n = np.arange(self.tokens)
        return Oracle(self.step, self.weights, kv=kv).run(n, n, np.zeros_like(n), n)

    def bound(self, kv: str) -> float:
        """A score is a sum of head_dim products times the scale, possibly soft-capped. An error ds of it changes its
        weight by the factor 1 + ds. Weights and their sum have a few roundings for each block that updated them, and
        formats with separate scales add three more to scores and to weights."""
        heads, kv_heads, head_dim = self.shape
        q, k, v = np.split(self.x, [heads * head_dim, (heads + kv_heads) * head_dim], axis=1)
        queries = np.abs(q).reshape(self.tokens, kv_heads, heads // kv_heads, head_dim)
        keys, kept = (np.abs(cached(x.reshape(self.tokens, kv_heads, head_dim), kv)) for x in (k, v))
        score = (head_dim / 2 + 7) * U * np.einsum("tgrd,pgd->tgrp", queries, keys).max() * self.scale
        return float((2 * score + (2 * self.tokens**0.5 + 43) * U) * kept.max())


def by_token(program: Running, tokens: Any, slot: int = 0) -> NDArray[np.float32]:
    return np.concatenate([program.run([t], [p], [slot], [0]) for p, t in enumerate(tokens)])


SHAPES = [
    # heads, kv_heads, head_dim, tokens, window, softcap, sinks
    (1, 1, 1, 3, None, None),
    (6, 2, 8, 70, None, None, True),
    (8, 1, 33, 140, 50, 3.0, True),
    (6, 2, 8, 70, None, None),
    (3, 1, 64, 130, None, None),
    (3, 1, 64, 130, 50, None),
    (3, 1, 64, 140, 1, 3.0),
    (8, 1, 33, 66, None, None),
    (4, 4, 80, 65, 64, None),
    (2, 1, 256, 66, 17, 20.0),
    (14, 2, 20, 300, None, 20.0),
]


@pytest.mark.parametrize("kv", KV)
@pytest.mark.parametrize("shape", SHAPES)
def test_attention(shape: tuple[Any, ...], kv: str, tier: str) -> None:
    alone = Alone(*shape)
    n, zero = np.arange(alone.tokens), np.zeros(alone.tokens, int)
    expected, bound = alone.expected(kv), alone.bound(kv)
    assert bound < 0.005
    program = alone.program(batch=alone.tokens, tier=tier, kv=kv, sequences=2)
    whole = program.run(n, n, zero, n)
    within(whole, expected, bound)
    assert np.array_equal(by_token(program, n, 1), whole)  # whichever way a row is computed, not a bit differs


@pytest.mark.parametrize("kv", KV)
def test_the_size_of_a_cache_follows_its_format(kv: str) -> None:
    bits = {"f16": 16, "bf16": 16, "q8_0": 8.5, "q4_0": 4.5}[kv]
    program = Alone(6, 2, 64, 100).program(sequences=3, kv=kv)
    positions = 128  # in whole pages of 64
    assert program.memory.bytes == 3 * positions * 2 * (2 * 64) * bits / 8


@pytest.mark.parametrize(
    ("window", "batch", "held"),
    [(5, 8, 128), (5, 200, 320), (70, 50, 192), (64, 1, 128), (66, 1, 192), (390, 8, 448)],
)
@pytest.mark.parametrize("kv", KV)
def test_a_window_keeps_only_itself_and_a_batch(window: int, batch: int, held: int, kv: str) -> None:
    alone = Alone(3, 1, 40, 400, window)
    program = alone.program(batch=batch, kv=kv)
    full = Alone(3, 1, 40, 400).program(batch=batch, kv=kv)
    assert program.memory.bytes * 448 == full.memory.bytes * held  # in whole pages that so many positions can touch
    n = np.arange(400)
    within(program.run(n, n, np.zeros_like(n), n), alone.expected(kv), alone.bound(kv))
    assert program.lengths == [400]


def test_rewinding_within_a_window() -> None:
    window, batch, pages = 20, 30, 2  # that 49 positions can touch
    alone = Alone(2, 1, 16, 300, window)
    program, expected, bound = alone.program(batch=batch), alone.expected("f16"), alone.bound("f16")
    n = np.arange(300)
    assert program.earliest == [0]
    program.run(n[:200], n[:200], np.zeros(200, int), [])
    reached = 200
    for start in (155, 171, 199, 183, 200):  # each replaces the positions from there on by the same
        lowest = (-(-reached // 64) - pages) * 64 + window - 1
        assert program.earliest == [lowest] and lowest <= min(start, reached - batch)
        with pytest.raises(UsageError, match=rf"positions\[0\] is {lowest - 1}, expected {lowest} to \d+, or 0"):
            program.run([5], [lowest - 1], [0], [0])
        part = n[start : start + 29]
        within(program.run(part, part, np.zeros_like(part), part - start), expected[part], bound)
        assert program.lengths == [start + 29]
        reached = max(reached, start + 29)
    within(program.run(n[:250], n[:250], np.zeros(250, int), n[:250]), expected[:250], bound)


def test_random_steps_over_windows_agree_with_the_oracle() -> None:
    """Three sequences continue, rewind as far as possible, and start again, far past the ring of 64 positions."""
    rng = np.random.default_rng(12)
    step, weights = random_model(**MODELS["gemma"])
    program = Running(step, stored(weights), context=330, sequences=3, batch=12, threads=2)
    steps, wrapped, back = RandomSteps(program, FloatError(step, weights, rng.integers(0, 101, 330)), rng), 0, 0
    for _ in range(150):
        starts = {}
        for slot in rng.permutation(3)[: rng.integers(1, 4)]:
            start, lowest = program.lengths[slot], program.earliest[slot]
            if start > 320 or rng.random() < 0.01:
                start = 0
            elif lowest < start and rng.random() < 0.2:
                start, back = rng.integers(lowest, start), back + 1
            wrapped += lowest > 0
            starts[slot] = start
        steps.run(starts, 12)
    assert wrapped > 20 and back > 10


@cache
def long_text(window: int | None, sinks: bool, kv: str) -> tuple[Alone, NDArray[np.float64], float]:
    """1,100 tokens, with what is expected and its bound: the oracle takes longer over them than all tiers."""
    alone = Alone(4, 2, 24, 1100, window, sinks=sinks)
    return alone, alone.expected(kv), alone.bound(kv)


@pytest.mark.parametrize(
    ("kv", "window", "sinks"), [("f16", None, False), ("f16", 600, True), ("q4_0", None, True), ("q4_0", 600, False)]
)  # every pair of values
def test_sharing_the_work_changes_no_bit(kv: str, window: int | None, sinks: bool, tier: str) -> None:
    """Up to 4 tokens are also shared by ranges of positions; more tokens, or other numbers of threads, are not."""
    alone, expected, bound = long_text(window, sinks, kv)
    n = np.arange(alone.tokens)
    starts = [1099, 256, 255, 700, 64, 0, 513]
    results = []
    for threads in (1, 2, 3):
        program = alone.program(threads=threads, batch=100, tier=tier, kv=kv, sequences=len(starts))
        for slot, start in enumerate(starts):
            program.run(n[:start], n[:start], np.full(start, slot), [])
        together = program.run(starts, starts, np.arange(len(starts)), np.arange(len(starts)))
        singly = [program.run([p], [p], [slot], [0])[0] for slot, p in enumerate(starts)]
        three = program.run(starts[:3], starts[:3], [0, 1, 2], [0, 1, 2])
        results += [together, np.array(singly), np.concatenate([three, together[3:]])]
    for result in results:
        assert np.array_equal(result, results[0])
    within(results[0], expected[starts], bound)


@pytest.mark.parametrize("kv", KV)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_values_a_cache_cannot_hold_are_errors(bad: float, kv: str) -> None:
    alone = Alone(2, 1, 40, 8)
    alone.weights["x"] = alone.x = values(8, 160)
    alone.x[5, 2 * 40 + 13] = bad  # in token 5's key
    program = alone.program(kv=kv)
    program.run([0, 1, 2, 3], [0, 1, 2, 3], [0] * 4, [])
    if bad == 1e6 and kv in ("bf16", "q8_0"):  # float16, and so q4_0's scale of an 8th, end at 65504
        assert np.isfinite(program.run([4, 5], [4, 5], [0, 0], [1])).all()
        return
    with pytest.raises(BitwrightError, match=f"the {kv} cache cannot hold"):
        program.run([3, 4, 5], [3, 4, 5], [0] * 3, [2])
    assert program.lengths == [3]
    assert np.isfinite(program.run([4, 6], [3, 4], [0] * 2, [1])).all()


def test_an_unknown_cache_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown key-value cache 'q9_0'; did you mean q8_0, q4_0\\?"):
        Alone(1, 1, 8, 8).program(kv="q9_0")
