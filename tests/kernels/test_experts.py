"""Mixtures of experts: choices and ties, and products that equal those of every expert alone, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import U, values, within
from running import Running
from test_program import run_op

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor
from bitwright.kernels import Executor, Memory, Program, Step, WeightBank, tiers
from bitwright.kernels.ops import Call, Experts
from bitwright.kernels.schedule import Schedule

EXPERTS, USED, ROWS, COLUMNS = 7, 3, 40, 256  # rows that leave a panel incomplete on every tier


@pytest.mark.parametrize("tier", tiers())
def test_the_largest_are_chosen_and_of_equal_ones_the_first(tier: str) -> None:
    logits = values(50, 9, scale=3)
    logits[:10, 4] = logits[:10, 7] = 20
    logits[10] = 0
    logits[11, 2] = -np.inf
    got, expected = run_op(lambda s, x: s.route(x, 4, 0.5), {"x": logits}, 50, tier=tier)
    np.testing.assert_array_equal(got[:, :4], expected[:, :4])
    assert (got[:10, :2] == [4, 7]).all() and (got[10, :4] == [0, 1, 2, 3]).all()
    within(got[:, 4:], expected[:, 4:], 1e-6 * expected[:, 4:])
    within(got[:, 4:].sum(axis=1), np.full(50, 0.5), 4 * U)


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("biased", [False, True])
def test_sigmoids_are_chosen_with_biases_and_weigh_without(biased: bool, tier: str) -> None:
    logits = values(50, 9, scale=3)
    logits[0], logits[1, [2, 7]] = -60, [20, 25]  # whose sigmoids would be equal floats
    weights = {"logits": logits, "bias": np.linspace(0, 0.8, 9, dtype=np.float32)}
    bias = "bias" if biased else None
    got, expected = run_op(lambda s, x: s.route(x, 4, 2.5, "sigmoid", bias), {"x": logits, **weights}, 50, tier=tier)
    np.testing.assert_array_equal(got[:, :4], expected[:, :4])
    within(got[:, 4:], expected[:, 4:], 4 * U * expected[:, 4:])
    within(got[:, 4:].sum(axis=1), np.full(50, 2.5), 10 * U)
    plain = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert biased != (plain.argmax(axis=1) == got[:, 0]).all()


@pytest.mark.parametrize("tier", tiers())
def test_shares_are_those_of_all_experts(tier: str) -> None:
    logits = values(50, 9, scale=3)
    got, expected = run_op(lambda s, x: s.route(x, 4, 1.5, "share"), {"x": logits}, 50, tier=tier)
    np.testing.assert_array_equal(got[:, :4], expected[:, :4])
    within(got[:, 4:], expected[:, 4:], 1e-6 * expected[:, 4:])
    assert (got[:, 4:].sum(axis=1) < 1.5).all()


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
def test_groups_are_chosen_by_their_two_largest_scores(scoring: Any, tier: str) -> None:
    """And of equal ones the first; the weights are those of the chosen experts alone."""
    logits = values(50, 12, scale=2)
    logits[0] = [9, -9, -9, 3, 3, -9, 2, 2, 2, 5, 0, -1]  # sums 0, 6, 4 and 5 of groups of three
    logits[1] = 0
    weights = {"x": logits, "bias": np.zeros(12, np.float32)}
    bias = "bias" if scoring == "sigmoid" else None
    got, expected = run_op(lambda s, x: s.route(x, 3, 0.5, scoring, bias, 4, 2), weights, 50, tier=tier)
    np.testing.assert_array_equal(got[:, :3], expected[:, :3])
    within(got[:, 3:], expected[:, 3:], 1e-6 * expected[:, 3:])
    assert got[1, :3].tolist() == [0, 1, 2]
    assert scoring == "sigmoid" or got[0, :3].tolist() == [9, 3, 4]
    assert all(len(set(row)) <= 2 for row in got[:, :3] // 3)


def tensor(name: str, weights: np.ndarray, format: str) -> QuantizedTensor:
    kind = formats.get(format)
    return QuantizedTensor(name, weights.shape, kind, np.ascontiguousarray(kind.quantize(weights)).view(np.uint8))


def run(step: Step, tensors: dict[str, QuantizedTensor], rows: int, tier: str) -> np.ndarray:
    n = np.arange(rows)
    return Running(step, tensors, context=rows, batch=rows, threads=2, tier=tier).run(n, n, 0 * n, n)


def alone(x: np.ndarray, stacked: QuantizedTensor, tier: str) -> np.ndarray:
    """The products (experts, tokens, rows) of all tokens with each expert, as a matrix of its own."""
    step = Step()
    step.logits(step.linear(step.select(step.embed("x")), "w"))
    owns = (QuantizedTensor("w", stacked.shape[1:], stacked.format, data) for data in stacked.data)
    return np.array([run(step, {"x": tensor("x", x, "f32"), "w": own}, len(x), tier) for own in owns])


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("format", ["f32", "bf16", "float8_e4m3fn", "q4_0", "q4_k"])
@pytest.mark.parametrize("tokens", [1, 2, 5, 60])
def test_products_are_those_of_every_expert_alone(tokens: int, format: str, tier: str) -> None:
    """With one slot for an expert, few and many; one input for all slots of a token, and one for each."""
    x, logits = values(tokens, COLUMNS), values(tokens, EXPERTS, seed=1)
    logits[:, 5] += 3  # nearly all tokens
    up, down = (
        tensor("w", values(EXPERTS * rows, columns, seed=rows).reshape(EXPERTS, rows, columns), format)
        for rows, columns in ((COLUMNS, COLUMNS), (ROWS, COLUMNS))
    )
    bias = values(EXPERTS, ROWS, seed=9)
    inputs = {"x": tensor("x", x, "f32"), "logits": tensor("logits", logits, "f32"), "up": up, "down": down}
    inputs["bias"] = tensor("bias", bias, "f32")
    results = []
    for last in ("choices", "up", "down", "biased"):
        s = Step()
        choices = s.route(s.select(s.embed("logits")), USED)
        h = s.experts(s.select(s.embed("x")), choices, "up")
        biases = "bias" if last == "biased" else None
        s.logits({"choices": choices, "up": h}.get(last) or s.experts(h, choices, "down", biases))
        results.append(run(s, inputs, tokens, tier))
    chosen, sent = results[0][:, :USED].astype(int), results[1].reshape(tokens, USED, COLUMNS)
    t = np.arange(tokens)
    for slot in range(USED):
        np.testing.assert_array_equal(sent[:, slot], alone(x, up, tier)[chosen[:, slot], t])
        back = alone(np.ascontiguousarray(sent[:, slot]), down, tier)[chosen[:, slot], t]
        np.testing.assert_array_equal(results[2].reshape(tokens, USED, ROWS)[:, slot], back)
        biased = results[3].reshape(tokens, USED, ROWS)[:, slot]
        np.testing.assert_array_equal(biased, back + bias[chosen[:, slot]])


def test_squares_are_added_up_for_each_expert() -> None:
    x, logits = values(30, 32), values(30, EXPERTS, seed=1)
    logits[:, 2] = -9
    up, down = (values(EXPERTS * 32, 32, seed=seed).reshape(EXPERTS, 32, 32) for seed in (2, 3))
    weights = {"x": x, "logits": logits, "up": up, "down": down}
    tensors = {name: tensor(name, own, "f32") for name, own in weights.items()}
    s, call = Step(), Call(np.float64, *(np.arange(30),) * 4)
    choices = s.route(s.select(s.embed("logits")), USED)
    h = s.experts(s.select(s.embed("x")), choices, "up")
    s.logits(s.combine(s.experts(h, choices, "down"), choices))
    program = Program(s, tensors, WeightBank(threads=2), observe=True)
    executor, n = Executor(program, 16, 2), np.arange(30)
    executor.run(Memory(program.layers, 30, 1, 16), n, n, 0 * n, n)
    chosen = s.ops[choices.id].meaning(call, logits.astype(np.float64))
    inputs = {"up": x.astype(np.float64), "down": s.ops[h.id].meaning(call, x.astype(np.float64), chosen, up)}
    for name, own in inputs.items():
        sums, counts = executor.squares()[name]
        for expert, (rows, _), sent in Experts.sent(own, chosen, 32):
            assert counts[expert] == len(rows)
            np.testing.assert_allclose(sums[expert], np.square(sent).sum(axis=0), rtol=1e-5)
        assert counts.sum() == 30 * USED and counts[2] == 0 and not sums[2].any()


def test_choices_among_other_experts_are_refused() -> None:
    weights = {"x": values(4, 32), "logits": values(4, 5), "w": values(7 * 8, 32).reshape(7, 8, 32)}
    tensors = {name: tensor(name, own, "f32") for name, own in weights.items()}
    for made in (lambda s: s.route(s.select(s.embed("logits")), 2), lambda s: s.select(s.embed("x"))):
        s = Step()
        choices = made(s)
        with pytest.raises(UsageError, match=r"experts\(w\): expected choices among 7 experts, made by `route`"):
            s.logits(s.experts(s.select(s.embed("x")), choices, "w"))
            Program(s, tensors, WeightBank(threads=1))


def test_every_choice_has_groups_of_its_own() -> None:
    """A thread that comes late to a phase counts its work by them, when others have gone on to the next mixture."""
    s, weights = Step(), {"x": values(4, 8), "gate": values(5, 8), "w": values(5 * 8, 8).reshape(5, 8, 8)}
    x = s.select(s.embed("x"))
    for _ in range(3):
        choices = s.route(s.linear(x, "gate"), 2)
        x = s.combine(s.experts(x, choices, "w"), choices)
    s.logits(x)
    assert Schedule(s, weights).groups == [(5, 2)] * 3
