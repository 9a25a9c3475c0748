"""The time of a token, tensor by tensor, adds up to the plan's; a speed to reach is kept like a number of bytes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bitwright import formats
from bitwright.errors import BudgetError, UsageError
from bitwright.fit.budget import Ask, budget, searched
from bitwright.fit.choices import Choices
from bitwright.fit.pace import pace
from bitwright.hardware import devices
from bitwright.hardware.forecast import forecast
from bitwright.hardware.speed import UnknownSpeed
from bitwright.model.architectures.outline import Outline, outline
from bitwright.recipes import Recipe, Shape

FORMATS = [formats.get(name) for name in ("iq2_xs", "q4_0", "q4_k", "q8_0")]


@pytest.fixture(scope="module")
def qwen() -> Outline:
    return outline("qwen3-0.6b")


def given(outline: Outline, chosen: dict) -> list:
    return Recipe.exact(chosen).assign(Shape.of(outline.metadata), outline.tensors)


@pytest.mark.parametrize("device", ["rtx-3090", "apple-m1-max-32c", "raspberry-pi-5"])
@pytest.mark.parametrize("format", ["q4_k", "q8_0"])
@pytest.mark.parametrize("shape", ["qwen3-0.6b", "gpt-oss-20b"])
def test_the_parts_add_up_to_the_plans_speed(device: str, format: str, shape: str) -> None:
    model, (chip,) = outline(shape), devices.named([device])
    tensors = searched(model)
    found = pace(model, chip, 1.0, 4096, "q8_0", tensors)
    assignments = given(model, {t.name: formats.get(format) for t in tensors})
    expected = forecast(chip, model, assignments, 2048, "q8_0").decode
    predicted = found.predicted(assignments, tensors)
    assert predicted.tokens_per_second == pytest.approx(expected.tokens_per_second, rel=0.01)
    assert predicted.high / predicted.low == pytest.approx(expected.high / expected.low)


def test_what_meets_the_budget_is_small_and_fast_enough(qwen: Outline) -> None:
    """Of random choices, those within the room of a budget with a speed are within both."""
    (chip,) = devices.named(["rtx-3090"])
    rng, tensors = np.random.default_rng(0), searched(qwen)
    for floor, size in itertools.product((420.0, 465.0), (10**9, 3 * 10**8)):
        found = budget(qwen, Ask(size=size, speed=(floor, chip)))
        plain = budget(qwen, Ask(size=size))
        counted = np.array([[found.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
        own = np.array([[plain.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
        assert (counted >= own).all() and found.room == plain.room
        rows, tried = np.arange(len(tensors)), 0
        for share in np.linspace(0, 1, 60):
            levels = np.where(rng.random(len(tensors)) < share, 0, rng.integers(0, len(FORMATS), len(tensors)))
            if counted[rows, levels].sum() <= found.room:
                chosen = {t.name: FORMATS[level] for t, level in zip(tensors, levels, strict=True)}
                speed = found.pace.predicted(given(qwen, chosen), tensors)
                assert speed.tokens_per_second >= floor and own[rows, levels].sum() <= plain.room
                tried += 1
        assert tried


def test_a_speed_that_no_choice_reaches(qwen: Outline) -> None:
    (chip,) = devices.named(["raspberry-pi-5"])
    found = budget(qwen, Ask(size=10**9, speed=(1000.0, chip)))
    tensors = searched(qwen)
    sizes = np.array([[found.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
    choices = Choices(tuple(t.name for t in tensors), tuple(FORMATS), sizes, np.zeros(sizes.shape))
    with pytest.raises(BudgetError, match=r"not decode 1000 tokens per second on .*: [\d.]+ is the most") as raised:
        found.check(choices)
    assert raised.value.exit_code == 3


def test_a_device_whose_speed_is_not_known(qwen: Outline) -> None:
    (chip,) = devices.named(["rtx-3090"])
    with pytest.raises(UnknownSpeed, match="its bandwidth is not known"):
        budget(qwen, Ask(size=10**9, speed=(10.0, replace(chip, bandwidth=None))))
    with pytest.raises(UsageError, match="expected one budget"):
        Ask(speed=(10.0, chip))
