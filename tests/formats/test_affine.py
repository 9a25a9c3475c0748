"""The integer affine family: names, layout, error bounds, monotone in bits."""

from __future__ import annotations

import numpy as np
import pytest
from formats.vectors import weights
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright import formats
from bitwright.errors import UnsupportedError, UsageError

SHARES = ["g32", "g128", "row", "tensor"]


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("kind", ["sym", "asym"])
@pytest.mark.parametrize("share", SHARES)
def test_error_stays_within_a_step(bits: int, kind: str, share: str) -> None:
    x = weights((8, 256), bits)
    format = formats.get(f"INT{bits}_{kind}_{share}")
    packed = format.quantize(x)
    assert packed.shape == (8, format.row_bytes(256)) and format.columns(packed.shape[1]) == 256
    low, high = (
        f(
            x.reshape(-1, 32)
            if share == "g32"
            else x.reshape(-1, 128)
            if share == "g128"
            else x
            if share == "row"
            else x.reshape(1, -1),
            axis=1,
        )
        for f in (np.min, np.max)
    )
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    # symmetric: half a step. asymmetric: the zero-point is rounded too. A float16 scale is off by 2^-11 of the range.
    step = np.maximum(-low, high) / (2 ** (bits - 1) - 1) / 2 if kind == "sym" else (high - low) / (2**bits - 1)
    bound = (step + np.maximum(-low, high) * 2.0**-10).max()
    assert np.abs(format.dequantize(packed) - x).max() <= bound


@pytest.mark.parametrize("kind", ["sym", "asym"])
@pytest.mark.parametrize("share", SHARES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1 << 32), exponent=st.integers(-8, 8))
def test_error_falls_with_every_bit(kind: str, share: str, seed: int, exponent: int) -> None:
    x = weights((4, 256), seed) * np.float32(2.0**exponent)
    errors = []
    for bits in range(2, 9):
        format = formats.get(f"int{bits}_{kind}_{share}")
        errors.append(np.square(format.dequantize(format.quantize(x)) - x, dtype=np.float64).sum())
    assert errors == sorted(errors, reverse=True)


@settings(max_examples=100, deadline=None)
@given(bits=st.integers(2, 8), octets=st.integers(1, 9), data=st.data())
def test_layout_is_scale_zero_point_and_one_stream_of_codes(bits: int, octets: int, data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=8 * octets, max_size=8 * octets))
    zero = data.draw(st.integers(0, (1 << bits) - 1))
    stream = sum(code << (bits * i) for i, code in enumerate(codes)).to_bytes(bits * octets, "little")
    for share, scale in (("row", np.float32(0.75)), (f"g{8 * octets}", np.float16(0.75))):
        row = np.frombuffer(scale.tobytes() + bytes([zero]) + stream, np.uint8)
        got = formats.get(f"int{bits}_asym_{share}").dequantize(row[None])
        assert got[0].tolist() == [0.75 * (code - zero) for code in codes]


def test_zero_is_exact_whatever_the_range() -> None:
    x = weights((4, 64)) + np.float32(0.3)
    x[:, 5] = 0
    for kind in ("sym", "asym"):
        format = formats.get(f"int4_{kind}_row")
        assert not format.dequantize(format.quantize(x))[:, 5].any()


def test_every_row_of_a_tensor_has_the_same_scale() -> None:
    packed = formats.get("int4_sym_tensor").quantize(weights((5, 64)))
    assert (packed[:, :4] == packed[0, :4]).all() and (packed[1:, 4:] != packed[0, 4:]).any()


def test_bits_per_weight_count_the_scales() -> None:
    assert formats.get("int4_sym_g32").bits_per_weight == 4.5
    assert formats.get("int4_asym_g64").bits_per_weight == 4 + 24 / 64
    assert formats.get("int3_asym_row").bits_per_weight == 3
    assert formats.get("int3_asym_row").row_bytes(64) == 5 + 24


def test_names_make_one_format_each() -> None:
    assert formats.get("INT4_SYM_G32") is formats.get("int4_sym_g32")
    assert formats.get("int4_sym_g32").name == "int4_sym_g32"


@pytest.mark.parametrize(
    "name", ["int1_sym_row", "int9_sym_row", "int4_sym", "int4_sym_g12", "int4_sym_g0", "int4_mid_row"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match="int<2-8>_<sym|asym>"):
        formats.get(name)


def test_rows_are_multiples_of_eight() -> None:
    with pytest.raises(UsageError, match="8 columns at a time"):
        formats.get("int3_sym_row").quantize(weights((1, 12)))
    with pytest.raises(UsageError, match="plus 3 for each 8 columns"):
        formats.get("int3_sym_row").dequantize(np.zeros((1, 9), np.uint8))
