"""Quantizing in every format that encodes: extremes, refusals, idempotence, importance."""

from __future__ import annotations

import numpy as np
import pytest
from formats.vectors import ENCODERS, assert_same_bits, blocks, names, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright import formats
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.formats import Format

pytestmark = pytest.mark.filterwarnings("error")
AFFINE_NAMES = ("int2_sym_g32", "int5_asym_g128", "int8_sym_row", "int3_asym_row", "int4_asym_tensor")
AFFINE = [formats.get(name) for name in AFFINE_NAMES]
ALL = [*ENCODERS, *AFFINE]
SIGNED = [f for f in ALL if f.name != "float8_e8m0fnu"]  # it has neither zero nor negative values
WIDE = {"float32", "bfloat16", "float8_e8m0fnu", "mxfp4", "int8_sym_row", "int3_asym_row", "int4_asym_tensor"}
SATURATING = {"float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"}


def round_trip(format: Format, x: np.ndarray) -> np.ndarray:
    packed = format.quantize(x)
    assert packed.dtype == np.uint8 and packed.shape == (*x.shape[:-1], format.row_bytes(x.shape[-1]))
    decoded = format.dequantize(packed)
    assert decoded.shape == x.shape and np.isfinite(decoded).all()
    return decoded


@pytest.mark.parametrize("format", ALL, ids=names(ALL))
def test_packing_is_the_inverse_of_unpacking(format: Format) -> None:
    data = blocks(format, 20) if format.block_size else format.quantize(weights((20, 64)))
    if format.name == "tq1_0":  # 256 bytes encode 243 values: only bytes that pack() makes come back
        data = format.pack(*format.unpack(data))
    if format.name == "iq4_xs" or format.block_size:
        assert np.array_equal(format.pack(*format.unpack(data)), data)


@pytest.mark.parametrize("format", SIGNED, ids=names(SIGNED))
def test_zeros_stay_zero(format: Format) -> None:
    x = weights((4, 512), scale=1)
    x[1] = 0
    decoded = round_trip(format, x)
    assert not decoded[1].any() and decoded[0].any()


@pytest.mark.parametrize("format", SIGNED, ids=names(SIGNED))
@pytest.mark.parametrize("scale", [1e-5, 1e-8, 1e-12, 1e-30, 1e-38, 1e-42])
def test_small_weights_stay_small(format: Format, scale: float) -> None:
    x = weights((2, 512), scale=1) * np.float32(scale)
    assert np.abs(round_trip(format, x)).max() <= 2.5 * np.abs(x).max()


@pytest.mark.parametrize("format", SIGNED, ids=names(SIGNED))
def test_one_outlier_one_sign_and_constants(format: Format) -> None:
    x = weights((6, 512))
    c = np.float32(0.5)  # float4's smallest, and no tie in any format
    x[0, 100], x[1], x[2], x[3], x[4] = 5, c, -c, np.abs(x[3]), -np.abs(x[4])
    assert np.abs(round_trip(format, x) - x).max() <= 5
    assert np.allclose(round_trip(format, x[1:3]), x[1:3], rtol=0.08), "a constant row is nearly kept"


@pytest.mark.parametrize("format", ALL, ids=names(ALL))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_index(format: Format, bad: float) -> None:
    x = np.abs(weights((3, 512))) + np.float32(0.01)
    x[1, 37] = x[2, 3] = bad
    with pytest.raises(BitwrightError, match=rf"{format.name}: weight .*{bad} at \(1, 37\) is not finite"):
        format.quantize(x)


@pytest.mark.parametrize("format", ALL, ids=names(ALL))
def test_huge_weights_are_kept_saturated_or_refused_by_index(format: Format) -> None:
    x = np.abs(weights((3, 512))) + np.float32(0.01)
    x[1, 300] = 1e37
    if format.name in WIDE | SATURATING:
        largest = np.abs(round_trip(format, x)).max()
        assert largest < 100 if format.name in SATURATING else 0.5e37 < largest < 2e37
    else:
        with pytest.raises(BitwrightError, match=r"1e\+37 at \(1, 300\) is too large"):
            format.quantize(x)


def test_float64_weights_beyond_float32_are_refused() -> None:
    with pytest.raises(BitwrightError, match=r"inf at \(0, 1\)"):
        formats.get("q8_0").quantize(np.array([[0.0, 1e300] + [0.0] * 30]))


IDEMPOTENT = [
    f
    for f in [*SIGNED]
    if f.name
    in {
        "float32",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
        "q4_0",
        "q4_1",
        "q5_0",
        "q5_1",
        "q8_0",
        "tq1_0",
        "tq2_0",
        "mxfp4",
        "nvfp4",
        "int2_sym_g32",
        "int8_sym_row",
    }
]


@pytest.mark.parametrize("format", IDEMPOTENT, ids=names(IDEMPOTENT))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 32), exponent=st.integers(-5, 5), offset=st.sampled_from([0.0, 0.5, -3.0]))
def test_quantizing_again_changes_nothing(format: Format, seed: int, exponent: int, offset: float) -> None:
    x = (weights((2, 256), seed, 1) + np.float32(offset)) * np.float32(2.0**exponent)
    x = np.clip(x, -448, 448)  # float8_e4m3fn holds no more
    once = format.dequantize(format.quantize(x))
    assert np.array_equal(format.dequantize(format.quantize(once)), once)


SEARCHING = [
    f
    for f in ALL
    if f.name
    in {
        "q4_0",
        "q4_1",
        "q5_0",
        "q5_1",
        "q2_k",
        "q3_k",
        "q4_k",
        "q5_k",
        "q6_k",
        "iq4_nl",
        "iq4_xs",
        "int2_sym_g32",
        "int5_asym_g128",
        "int3_asym_row",
        "int4_asym_tensor",
    }
]


@pytest.mark.parametrize("format", SEARCHING, ids=names(SEARCHING))
def test_importance_lowers_the_error_it_weighs(format: Format) -> None:
    x, importance = weights((8, 512), 3), np.random.default_rng(4).gamma(0.5, 1, 512).astype(np.float32)
    plain, weighed = (format.dequantize(format.quantize(x, i)) for i in (None, importance))
    assert (importance * (weighed - x) ** 2).sum() < (importance * (plain - x) ** 2).sum()


@pytest.mark.parametrize("format", SIGNED, ids=names(SIGNED))
def test_importance_of_zeros_and_zero_rows(format: Format) -> None:
    x, importance = weights((3, 512)), np.zeros(512, np.float32)
    x[1] = 0
    importance[:64] = 1
    assert not np.any(format.dequantize(format.quantize(x, importance))[1])


def test_importance_is_checked() -> None:
    x = weights((2, 32))
    for bad in (np.ones(31), -np.ones(32), np.full(32, np.nan)):
        with pytest.raises(UsageError, match="importance"):
            formats.get("q4_0").quantize(x, bad)


def test_rows_are_whole_blocks() -> None:
    with pytest.raises(UsageError, match="blocks of 256 columns, which do not divide 128"):
        formats.get("q4_k").quantize(weights((2, 128)))
    with pytest.raises(UsageError, match="blocks of 144 bytes, which do not divide 100"):
        formats.get("q4_k").dequantize(np.zeros((2, 100), np.uint8))
    with pytest.raises(UsageError, match="uint8 bytes, got float32"):
        formats.get("q4_k").dequantize(np.zeros((2, 144), np.float32))


@pytest.mark.parametrize("name", ["q8_k", "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"])
def test_formats_without_an_encoder_name_those_with_one(name: str) -> None:
    assert not formats.get(name).encodes
    with pytest.raises(UnsupportedError, match=f"encoding to {name} is not supported; supported: .*q4_k.*mxfp4"):
        formats.get(name).quantize(weights((1, 256)))


@pytest.mark.parametrize("format", ALL, ids=names(ALL))
def test_any_leading_shape_and_no_rows(format: Format) -> None:
    x = np.abs(weights((2, 3, 256))) + np.float32(0.01)
    assert round_trip(format, x).shape == (2, 3, 256)
    if not format.whole:
        assert_same_bits(round_trip(format, x[1, 2]), round_trip(format, x)[1, 2])
        assert format.dequantize(format.quantize(x[:0])).shape == (0, 3, 256)


def test_chunks_change_nothing() -> None:
    x = weights((1200, 256))
    q = formats.get("q5_1").quantize(x)
    assert np.array_equal(q[1100:], formats.get("q5_1").quantize(x[1100:]))
    x[1150, 17] = np.nan
    with pytest.raises(BitwrightError, match=r"at \(1150, 17\)"):
        formats.get("q5_1").quantize(x)
