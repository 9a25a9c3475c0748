"""Steps of random ops: the native executor against the oracle, and the tape against finite differences."""

from __future__ import annotations

import pytest
from kernels.float_error import FloatError
from kernels.random_models import stored
from kernels.random_ops import SEEDS, random_ops
from kernels.running import Running
from kernels.test_gradients import CLOSE, differs
from kernels.test_program import batch

from bitwright.kernels import tiers
from bitwright.kernels.ops import OPS
from bitwright.kernels.schedule import Schedule
from bitwright.kernels.tape import missing


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("seed", SEEDS)
def test_the_executor_agrees_with_the_oracle(seed: int, tier: str) -> None:
    step, weights = random_ops(seed)
    arguments = batch(30)
    own = Running(step, stored(weights), context=30, batch=30, threads=2, tier=tier)
    FloatError(step, weights, arguments[0]).check(own, 0, arguments[0], own.run(*arguments))


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_agree_with_finite_differences(seed: int) -> None:
    step, weights = random_ops(seed)
    assert missing(step) == []
    assert differs(step, weights, list(range(20)), memory=0) < CLOSE


def test_all_ops_and_native_entries_are_drawn() -> None:
    found = [random_ops(seed) for seed in SEEDS]
    drawn = {kind: op for kind, op in OPS.items() if kind != "hidden"}  # what a cut step begins with: test_cuts.py
    assert {op.kind for step, _ in found for op in step.ops} == set(drawn)
    phases = [phase for step, weights in found for phase in Schedule(step, weights, observe=True).phases]
    assert {i.entry for phase in phases for i in phase.instructions} == {e for op in drawn.values() for e in op.entries}
