"""The survey of formats: estimates from some rows, and the formats near an allocation."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright import formats
from bitwright.calibration import ActivationStatistics, SecondMoment, SquareSums
from bitwright.calibration.moments import Provenance, pack
from bitwright.fit import survey
from bitwright.fit.choices import Choices
from bitwright.formats import QuantizedTensor
from bitwright.quantizers import Quantizer
from bitwright.quantizers.tensor import quantize_tensor

FORMATS = [formats.get(name) for name in ("q8_0", "q5_0", "q4_0")]
NAME = "blk.0.ffn_up.weight"


def tensor(rows: int = 96, columns: int = 64) -> QuantizedTensor:
    values = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    return QuantizedTensor(NAME, values.shape, formats.get("f32"), values.view(np.uint8))


def statistics(hessian: np.ndarray, gradients: np.ndarray, tokens: int = 1) -> ActivationStatistics:
    columns = len(hessian)
    moment = SecondMoment((NAME,), "fisher", 1, columns, lambda: pack(hessian)[None])
    squares = {NAME: SquareSums(np.ones((1, columns)), np.array([tokens]))}
    return ActivationStatistics(squares, moments=(moment,), sensitivities={NAME: gradients[None].astype(np.float32)})


def test_without_statistics_the_estimate_is_half_the_squared_error() -> None:
    own = tensor(rows=survey.ROWS)  # every row is in the sample
    values = own.dequantize()
    for format, cost in zip(FORMATS, survey.costs(own, FORMATS, Quantizer()), strict=True):
        error = quantize_tensor(values, format).dequantize() - values
        assert cost == pytest.approx(0.5 * (error**2).sum(), rel=1e-5)


def test_a_sample_of_rows_shows_what_all_rows_cost() -> None:
    some, everything = tensor(rows=40 * survey.ROWS), tensor(rows=40 * survey.ROWS)
    for format, cost in zip(FORMATS, survey.costs(some, FORMATS, Quantizer()), strict=True):
        values = everything.dequantize()
        error = quantize_tensor(values, format).dequantize() - values
        assert cost == pytest.approx(0.5 * (error**2).sum(), rel=0.2)


def test_rows_count_by_their_gradients() -> None:
    gradients = np.zeros(96)
    gradients[7] = 3.0
    hessian = np.diag(np.linspace(1, 2, 64)).astype(np.float32)
    own = tensor()
    found = survey.costs(own, FORMATS, Quantizer(statistics=statistics(hessian, gradients)))
    row = QuantizedTensor(NAME, (1, 64), own.format, own.data[7:8])
    alone = survey.costs(row, FORMATS, Quantizer(statistics=statistics(hessian, np.array([3.0]))))
    assert found == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("tokens", [4, 4000])
def test_it_estimates_what_is_built(tokens: int) -> None:
    """All rows are in the sample: half of what feedback reaches at that effort, damped by the number of tokens."""
    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    quantizer = Quantizer(None, 1, statistics(x.T @ x / len(x), np.ones(survey.ROWS), tokens))
    own = tensor(rows=survey.ROWS)
    for format, cost in zip(FORMATS, survey.costs(own, FORMATS, quantizer), strict=True):
        reached = quantizer.encode(own, format)[1]
        assert reached is not None and cost == pytest.approx(0.5 * reached, rel=1e-3)


def test_fewer_bits_cost_more() -> None:
    found = survey.costs(tensor(), FORMATS, Quantizer(statistics=statistics(np.eye(64, dtype=np.float32), np.ones(96))))
    assert list(found) == sorted(found)


CHOICES = Choices(
    tuple("abc"), tuple(FORMATS), np.array([[800, 500, 400]] * 3),
    np.array([[0.1, 1, 2], [0.0, 0.1, 0.11], [1.0, 20, 90]]),
)  # fmt: skip


def test_the_price_of_a_byte_fits_the_budget() -> None:
    for budget in (1200, 1500, 1700, 2100, 2400):
        now = survey.price(CHOICES, budget)
        bought = (CHOICES.cost + now * CHOICES.bytes).argmin(axis=1)
        assert CHOICES.bytes_of(tuple(bought)) <= budget
        bought = (CHOICES.cost + now / 1.001 * CHOICES.bytes).argmin(axis=1)
        assert CHOICES.bytes_of(tuple(bought)) > budget or budget == 2400


def test_the_shortlist_holds_what_is_bought_near_the_budget() -> None:
    near, wide = survey.shortlist(CHOICES, 1700, span=1.01), survey.shortlist(CHOICES, 1700, span=1e9)
    bought = (CHOICES.cost + survey.price(CHOICES, 1700) * CHOICES.bytes).argmin(axis=1)
    assert near[np.arange(3), bought].all()
    assert near.sum() < wide.sum()
    assert (wide | ~near).all()


def test_what_cannot_be_used_is_never_listed() -> None:
    cost = CHOICES.cost.copy()
    cost[1, 2] = np.inf
    some = Choices(CHOICES.tensors, CHOICES.formats, CHOICES.bytes, cost)
    assert not survey.shortlist(some, 1300, span=1e9)[1, 2]


def test_rows_of_experts_are_encoded_and_weighed_by_their_own_statistics() -> None:
    """With every row in the sample: by the second moments and gradients of each expert, and how often it is taken."""
    rng, shape = np.random.default_rng(2), (3, 8, 64)
    values = rng.standard_normal(shape).astype(np.float32)
    own = QuantizedTensor(NAME, shape, formats.get("f32"), values.view(np.uint8))
    moments = np.array([np.diag(rng.random(64) + 0.1) for _ in range(3)]).astype(np.float32)
    gradients, tokens = np.array([2.0, 0.0, 5.0])[:, None] * np.ones((3, 8), np.float32), np.array([300, 500, 100])
    moment = SecondMoment((NAME,), "fisher", 3, 64, lambda: np.array([pack(m) for m in moments]))
    known = ActivationStatistics(
        {NAME: SquareSums(np.ones((3, 64)), tokens)},
        provenance=Provenance(tokens=600),
        moments=(moment,),
        sensitivities={NAME: gradients.astype(np.float32)},
    )
    quantizer = Quantizer(None, 1, known)
    found = survey.costs(own, FORMATS, quantizer, sample=1400)  # 28 for each of a square, in whole numbers
    for format, cost in zip(FORMATS, found, strict=True):
        error = quantizer.quantize(own, format).dequantize() - values
        damped = quantizer.hessians.damped(NAME)  # type: ignore[union-attr]
        each = [np.einsum("ij,jk,ik->", e, h, e) for e, h in zip(error, damped, strict=True)]
        assert cost == pytest.approx(0.5 * (2 * each[0] * 300 + 5 * each[2] * 100) / 600, rel=0.01)
