"""The native executor against the NumPy oracle: every op alone, then whole models in different batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import U, values, within
from float_error import FloatError, RandomSteps
from random_models import MODELS, Weights, random_model, stored
from running import Running

from bitwright import formats
from bitwright.errors import BitwrightError, UsageError
from bitwright.kernels import Oracle, Step, tiers

RAGGED = [1, 2, 3, 7, 8, 15, 16, 17, 31, 64, 100, 257, 576]


def run_op(build: Callable[[Step, Any], Any], weights: Weights, rows: int, **options: Any) -> tuple[Any, Any]:
    """Native and oracle results (rows, width) of one op on the rows of weights["x"]."""
    step = Step()
    step.logits(step.select(build(step, step.embed("x"))))
    n = np.arange(rows)
    arguments = n, n, np.zeros_like(n), n
    native = Running(step, stored(weights), context=rows, batch=rows, threads=2, **options).run(*arguments)
    return native, Oracle(step, weights, kv="f16").run(*arguments)


@pytest.fixture(params=tiers())
def tier(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("width", RAGGED)
def test_elementwise_ops(width: int, tier: str) -> None:
    x, y = values(19, width, scale=4), values(19, width, seed=1)
    x[0, :] = np.linspace(-100, 100, width)
    weights = {"x": x, "eye": np.eye(width, dtype=np.float32), "y": y}
    x64, bound = x.astype(np.float64), 12 * U

    got, expected = run_op(lambda s, x: s.add(x, s.scale(x, 0.3)), weights, 19, tier=tier)
    assert np.array_equal(got, x + x * np.float32(0.3))
    got, expected = run_op(lambda s, x: s.softcap(x, 5.0), weights, 19, tier=tier)
    within(got, expected, 5 * bound)
    # e^z is off by 2 ulp, plus the rounding of z multiplied by |z|
    got, expected = run_op(lambda s, x: s.glu(x, s.scale(x, 0.5)), weights, 19, tier=tier)
    within(got, expected, (1 + np.abs(x64)) * bound * np.abs(expected) + 1e-34)
    got, expected = run_op(lambda s, x: s.glu(x, s.scale(x, 0.5), "clamped"), weights, 19, tier=tier)
    within(got, expected, (1 + 1.702 * np.abs(x64)) * bound * np.abs(expected) + 1e-34)
    got, expected = run_op(lambda s, x: s.glu(x, s.scale(x, 0.5), "gelu_tanh"), weights, 19, tier=tier)
    z = np.abs(1.6 * (x64 + 0.045 * x64**3))  # in addition, the oracle's 1 + tanh cancels in float64
    within(got, expected, (1 + z) * bound * np.abs(expected) + 4e-16 * x64**2 + 1e-34)


@pytest.mark.parametrize("width", RAGGED)
@pytest.mark.parametrize("heads", [1, 3])
def test_rms_norm(width: int, heads: int, tier: str) -> None:
    weights = {"x": values(9, width * heads), "w": values(width, seed=1)}
    weights["x"][1] = 0
    weights["x"][2] *= 1e-4
    got, expected = run_op(lambda s, x: s.rms_norm(x, "w", 1e-6, heads), weights, 9, tier=tier)
    # a float sum of 256 squares in at least 4 lanes is off by 64 roundings at most, their square root by half as many
    within(got, expected, 40 * U * np.abs(expected))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(
    ("heads", "head_dim", "rotary"), [(1, 2, 2), (3, 8, 8), (2, 20, 20), (3, 64, 64), (2, 64, 22), (1, 256, 256)]
)
def test_rope(heads: int, head_dim: int, rotary: int, interleaved: bool, tier: str) -> None:
    frequencies = 10000.0 ** (-np.arange(rotary // 2) / (rotary // 2))
    weights = {"x": values(40, heads * head_dim)}
    got, expected = run_op(
        lambda s, x: s.rope(x, heads, head_dim, frequencies, interleaved, 1.25), weights, 40, tier=tier
    )
    within(got, expected, 6 * U * 1.25 * np.abs(weights["x"]).max())
    assert np.abs(got - weights["x"]).max() > 0.1
    if rotary < head_dim:
        passed = got.reshape(40, heads, head_dim)[..., rotary:]
        assert np.array_equal(passed, weights["x"].reshape(40, heads, head_dim)[..., rotary:])


def batch(n: int, vocabulary: int = 101, seed: int = 5) -> tuple[Any, Any, Any, Any]:
    tokens = np.random.default_rng(seed).integers(0, vocabulary, n)
    return tokens, np.arange(n), np.zeros(n, int), np.arange(n)


@pytest.mark.parametrize("name", MODELS)
def test_whole_models_however_batched(name: str, tier: str) -> None:
    step, weights = random_model(**MODELS[name])
    tokens, positions, slots, outputs = batch(83)
    error = FloatError(step, weights, tokens)
    program = Running(step, stored(weights), context=100, sequences=3, batch=90, threads=2, tier=tier)
    error.check(program, 0, tokens, program.run(tokens, positions, slots, outputs))
    assert program.lengths == [83, 0, 0]

    by_token = np.concatenate([program.run([t], [p], [1], [0]) for p, t in enumerate(tokens)])
    error.check(program, 1, tokens, by_token)
    split = Running(step, stored(weights), context=100, batch=20, threads=2, tier=tier)
    error.check(split, 0, tokens, split.run(tokens, positions, slots, outputs))

    # Two sequences in turns. The first rewinds and repeats its tokens 40 to 59; outputs are in another order.
    other = np.random.default_rng(6).integers(0, 101, 40)
    program.run(other[:20], np.arange(20), np.full(20, 2), [])
    mixed = np.ravel(np.column_stack([tokens[40:60], other[20:40]]))
    where = np.ravel(np.column_stack([np.arange(40, 60), np.arange(20, 40)]))
    got = program.run(mixed, where, np.tile([0, 2], 20), np.arange(39, -1, -1))[::-1]
    error.check(program, 0, tokens[:60], got[::2])
    error.check(program, 2, other, got[1::2])
    assert program.lengths == [60, 83, 40]


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_threads_and_runs_change_no_bit(name: str, tier: str) -> None:
    step, weights = random_model(**MODELS[name])
    tokens, positions, slots, outputs = batch(61)
    results = []
    for threads in (1, 2, 3):
        program = Running(step, stored(weights), context=64, batch=64, threads=threads, tier=tier)
        assert (program.executor.threads, program.program.tier) == (threads, tier)
        results += [program.run(tokens, positions, slots, outputs) for _ in range(3)]
        results.append(np.concatenate([program.run([t], [p], [0], [0]) for p, t in enumerate(tokens)]))
    for i, result in enumerate(results):
        assert np.array_equal(result, results[i % 4])


def test_random_steps_agree_with_the_oracle() -> None:
    """200 steps of random length over 3 sequences that also rewind, forget and start again."""
    rng = np.random.default_rng(11)
    step, weights = random_model(**MODELS["gemma"])
    program = Running(step, stored(weights), context=48, sequences=3, batch=12, threads=2)
    steps, back = RandomSteps(program, FloatError(step, weights, rng.integers(0, 101, 48)), rng), 0
    for _ in range(200):
        starts = {}
        for slot in rng.permutation(3)[: rng.integers(1, 4)]:
            starts[slot] = start = program.lengths[slot]
            if start > 40 or rng.random() < 0.1:
                starts[slot], back = rng.integers(0, start + 1) // 2, back + 1
        steps.run(starts, 4)
    assert back > 20


def test_two_programs_can_share_a_pool() -> None:
    step, weights = random_model()
    programs = [Running(step, stored(weights), context=32, batch=32, threads=2) for _ in range(2)]
    arguments = batch(32)
    first = programs[0].run(*arguments)
    programs[1].run(arguments[0][::-1], *arguments[1:])
    again = programs[0].run(arguments[0][31:], [31], [0], [0])
    assert np.array_equal(again[0], first[31])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([101], [0], [0], [0]), r"tokens\[0\] is 101, expected 0 to 100"),
        (([-1], [0], [0], [0]), r"tokens\[0\] is -1"),
        (([1, 1], [0, 8], [0, 0], [0]), r"positions\[1\] is 8, expected 0 to 7, the context"),
        (([1], [-1], [0], [0]), r"positions\[0\] is -1"),
        (([1], [1], [0], [0]), r"positions\[0\] is 1, expected 0, the sequence's next"),
        (([1, 1], [0, 2], [0, 0], [0]), r"positions\[1\] is 2, expected 1, the sequence's next"),
        (([1, 1], [0, 0], [0, 0], [0]), r"positions\[1\] is 0, expected 1"),
        (([1], [0], [2], [0]), r"sequences\[0\] is 2, expected 0 to 1"),
        (([1], [0], [0], [1]), r"outputs\[0\] is 1, expected 0 to 0"),
        (([1], [0], [0], [-1]), r"outputs\[0\] is -1"),
        (([1] * 9, list(range(9)), [0] * 9, [9]), "outputs must lie in 0 to 8"),
        (([1, 2], [0], [0, 0], [0]), "equally long, got 2, 1, 2"),
        (([0.5], [0], [0], [0]), "integers"),
        (([2**40], [0], [0], [0]), "32 bits"),
    ],
)
def test_wrong_calls_are_usage_errors_and_change_nothing(arguments: Any, message: str) -> None:
    step, weights = random_model(layers=1)
    program = Running(step, stored(weights), context=8, sequences=2, batch=4)
    with pytest.raises(UsageError, match=message):
        program.run(*arguments)
    assert program.lengths == [0, 0]


# Formats that the executor multiplies and that can be encoded, except e8m0, whose values are positive powers of two.
NATIVE_FORMATS = [f.name for f in formats.all() if f.encodes and (f.ggml is not None or f.name.startswith("float"))]


@pytest.mark.parametrize("name", NATIVE_FORMATS)
def test_any_format_can_be_embedded_and_multiplied(name: str, tier: str) -> None:
    """The embedding is exact; products differ by the rounding of their input to int8."""
    format = formats.get(name)
    table, weight = (np.clip(values(n, 512, seed=n), -0.9, 0.9) for n in (37, 70))
    if name == "float8_e8m0fnu":
        table, weight = np.abs(table) + 0.01, np.abs(weight) + 0.01
    weights = {}
    for key, w in (("table", table), ("weight", weight)):
        weights[key] = formats.QuantizedTensor(key, w.shape, format, format.quantize(w))
    floats = {key: w.dequantize() for key, w in weights.items()}
    n, zero = np.arange(37), np.zeros(37, int)

    step = Step()
    step.logits(step.select(step.embed("table")))
    program = Running(step, weights, context=37, batch=37, threads=2, tier=tier)
    assert np.array_equal(program.run(n, n, zero, n), floats["table"])

    step = Step()
    step.logits(step.linear(step.select(step.embed("table")), "weight"))
    program = Running(step, weights, context=37, batch=37, threads=2, tier=tier)
    x, w = floats["table"].astype(np.float64), floats["weight"].astype(np.float64)
    steps = np.abs(x).reshape(37, 16, 32).max(axis=2) / 127 / 2  # half a step of int8 in each run of 32 columns
    bound = steps.repeat(32, axis=1) @ np.abs(w).T + 1e-3
    within(program.run(n, n, zero, n), x @ w.T, bound)
    within(np.concatenate([program.run([t], [t], [0], [0]) for t in n]), x @ w.T, bound)


def test_wrong_programs_are_refused() -> None:
    step, weights = random_model(layers=1)
    with pytest.raises(BitwrightError, match="the model has no tensor '0.q'"):
        Running(step, stored({n: w for n, w in weights.items() if n != "0.q"}), context=8)
    with pytest.raises(UsageError, match="cannot run on this machine"):
        Running(step, stored(weights), context=8, tier="abacus")
    with pytest.raises(UsageError, match="at least 1"):
        Running(step, stored(weights), context=0)
    with pytest.raises(UsageError, match="threads must be at least 1, got 0"):
        Running(step, stored(weights), context=8, threads=0)


def test_no_tokens_and_no_outputs() -> None:
    step, weights = random_model(layers=1)
    program = Running(step, stored(weights), context=8, batch=4)
    assert program.run([], [], [], []).shape == (0, 101)
    assert program.run([1, 2], [0, 1], [0, 0], []).shape == (0, 101)
    assert program.run([1] * 6, range(2, 8), [0] * 6, []).shape == (0, 101)
    assert program.lengths == [8]
