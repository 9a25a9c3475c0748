"""What each bit of a block serves, and formulas with their numbers filled in."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bitwright import formats
from bitwright.formats import Format, anatomy
from bitwright.views.anatomy import FAMILIES, letters, template

BLOCKS = [f for f in formats.all() if len(f.fields) > 1 and f.name != "q8_k"] + [formats.get(n) for n in FAMILIES]


@pytest.mark.parametrize("format", BLOCKS, ids=lambda f: f.name)
def test_a_formula_with_its_numbers_gives_the_weight(format: Format) -> None:
    block = np.random.default_rng(1).integers(0, 120, (1, format.block_bytes)).astype(np.uint8)
    weights = format.dequantize(block)[0]
    text = re.sub(r"\{(\w+)\}", r"\1", template(format)).replace("^", "**")
    places = np.arange(len(weights))
    found = {name: np.atleast_1d(v).astype(float) for name, v in letters(format, block[0]).items()}
    numbers = {name: values[places * len(values) // len(weights)] for name, values in found.items()}
    np.testing.assert_allclose(eval(text, {}, numbers), weights, rtol=1e-6)


@pytest.mark.parametrize("name", ["q4_0", "q6_k", "tq1_0", "iq2_xxs"])
def test_every_weight_is_served(name: str) -> None:
    format = formats.get(name)
    uses = anatomy.uses(format)
    assert len(uses) == 8 * format.block_bytes and all(use.places for use in uses)
    for role, count in (("code", format.block_size), ("scale", format.groups)):
        assert {place for use in uses if use.role == role for place in use.places} == set(range(count))


def test_bits_are_where_the_declaration_says() -> None:
    q4_1 = anatomy.uses(formats.get("q4_1"))  # d, m, then byte j: bits 0-3 code j, bits 4-7 code j + 16
    assert [use.role for use in q4_1[:32]] == ["scale"] * 16 + ["min"] * 16
    assert [use.places for use in q4_1[32:]] == [(j + 16 * (bit // 4),) for j in range(16) for bit in range(8)]
    q4_k = anatomy.uses(formats.get("q4_k"))  # byte 4: the scale of sub-block 0, and the top 2 bits of that of 4
    assert [use.places for use in q4_k[32:40]] == [(0,)] * 6 + [(4,)] * 2


def test_a_flipped_bit_is_that_of_the_flipped_byte() -> None:
    format = formats.get("q5_k")
    block = np.random.default_rng(2).integers(0, 120, format.block_bytes).astype(np.uint8)
    after = anatomy.flipped(format, block)
    for bit in (3, 40, 700):
        changed = block.copy()
        changed[bit // 8] ^= 1 << bit % 8
        parts = anatomy.parts(format, changed[None])
        np.testing.assert_array_equal(after.numbers[bit], parts.numbers[0])
        np.testing.assert_array_equal(after.scale[bit], parts.scale[0])
