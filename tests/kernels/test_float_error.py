"""FloatError notices small mistakes of the executor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from float_error import FloatError, whole
from random_models import MODELS, random_model, stored
from running import Running

from bitwright.kernels import Step
from bitwright.kernels.ops.attention import Attention
from bitwright.kernels.ops.norm import RmsNorm
from bitwright.kernels.ops.rope import Rope

TOKENS = np.random.default_rng(5).integers(0, 101, 83)


def attention(step: Step, layer: int) -> Attention:
    return [op for op in step.ops if isinstance(op, Attention)][layer]


def scale(step: Step) -> None:
    attention(step, -1).scale *= 1.0001


def softcap(step: Step) -> None:
    attention(step, -1).softcap = 20.02  # for 20


def window(step: Step) -> None:
    attention(step, 0).window = 6  # for 5


def frequencies(step: Step) -> None:
    rope = next(op for op in step.ops if isinstance(op, Rope))
    rope.inverse_frequencies = rope.inverse_frequencies * np.float32(1.0001)


def epsilon(step: Step) -> None:
    for op in step.ops:
        if isinstance(op, RmsNorm):
            op.eps = 2e-6  # for 1e-6


@pytest.mark.parametrize("mistake", [scale, softcap, window, frequencies, epsilon])
def test_a_small_mistake_of_the_executor_is_noticed(mistake: Callable[[Step], None]) -> None:
    (right, weights), (wrong, _) = (random_model(**MODELS["gemma"]) for _ in range(2))
    mistake(wrong)
    own = Running(wrong, stored(weights), context=83, batch=83, threads=2)
    logits = own.run(*whole(TOKENS))
    with pytest.raises(AssertionError, match="cell"):
        FloatError(right, weights, TOKENS).check(own, 0, TOKENS, logits)
    FloatError(wrong, weights, TOKENS).check(own, 0, TOKENS, logits)
