"""Element formats against ml_dtypes: every code decoded, every rounding boundary encoded."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from formats.vectors import assert_same_bits

from bitwright import formats
from bitwright.errors import BitwrightError

BITS = {
    "float8_e4m3fn": 8,
    "float8_e5m2": 8,
    "float8_e8m0fnu": 8,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
    "float4_e2m1fn": 4,
    "bfloat16": 16,
    "float16": 16,
}


def peer(name: str) -> np.dtype:
    return np.dtype(np.float16 if name == "float16" else getattr(ml_dtypes, name))


def codes(name: str) -> np.ndarray:
    return np.arange(1 << BITS[name]).astype(np.uint16 if BITS[name] == 16 else np.uint8)


@pytest.mark.parametrize("name", BITS)
def test_every_code_decodes_as_in_ml_dtypes(name: str) -> None:
    all_codes = codes(name)
    assert_same_bits(formats.get(name).decode(all_codes[:, None], ()), all_codes.view(peer(name)).astype(np.float32))


@pytest.mark.parametrize("name", BITS)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_rounding_equals_ml_dtypes(name: str) -> None:
    """At every code, every midpoint, the adjacent floats, the special values, and a million random bit patterns."""
    numbers = codes(name).view(peer(name)).astype(np.float32).astype(np.float64)
    exact = np.concatenate([numbers, (numbers[1:] + numbers[:-1]) / 2, numbers * 1.5]).astype(np.float32)
    random = np.random.default_rng(0).integers(0, 1 << 32, 1_000_000, dtype=np.uint32).view(np.float32)
    special = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e-45, -1e-45, 3e38, -3e38, 2**-127, 2**-126])
    around = (np.nextafter(exact, np.float32(9e9)), np.nextafter(exact, np.float32(-9e9)))
    x = np.concatenate([exact, *around, special, random])
    got, want = formats.get(name).round(x[:, None], ()).ravel(), x.astype(peer(name)).view(codes(name).dtype)
    if BITS[name] == 16:  # which NaN is not specified
        got, want = got[~np.isnan(x)], want[~np.isnan(x)]
    assert np.array_equal(got, want)


@pytest.mark.parametrize("name", BITS)
def test_packing_keeps_every_code(name: str) -> None:
    format, all_codes = formats.get(name), codes(name)
    packed = format.pack(all_codes.reshape(-1, format.block_size), ())
    assert packed.size * 8 == len(all_codes) * BITS[name]
    assert np.array_equal(format.unpack(packed)[0].ravel(), all_codes)


def test_six_bit_codes_are_one_little_endian_stream() -> None:
    packed = formats.get("float6_e2m3fn").pack(np.uint8([[1, 2, 3, 4]]), ())
    assert int.from_bytes(packed.tobytes(), "little") == 1 | 2 << 6 | 3 << 12 | 4 << 18
    assert formats.get("float4_e2m1fn").pack(np.uint8([[1, 2]]), ()).tolist() == [[0x21]]


@pytest.mark.parametrize(
    "name, weight",
    [
        ("float16", 65520.0),
        ("float8_e4m3fn", 465.0),
        ("float8_e5m2", -61440.0),
        ("float8_e8m0fnu", -1.0),
        ("bfloat16", 3.4e38),
    ],
)
def test_weights_out_of_range_are_refused(name: str, weight: float) -> None:
    x = np.ones((3, 8), np.float32)
    x[2, 5] = weight
    with pytest.raises(BitwrightError, match=r"at \(2, 5\) is too large"):
        formats.get(name).quantize(x)


def test_formats_without_infinity_saturate() -> None:
    x = np.float32([[100, -100, 1, 0]])
    e3m2 = formats.get("float6_e3m2fn")
    assert e3m2.dequantize(e3m2.quantize(x)).tolist() == [[28, -28, 1, 0]]
    assert formats.get("float4_e2m1fn").dequantize(formats.get("float4_e2m1fn").quantize(x)).tolist() == [[6, -6, 1, 0]]


def test_float32_keeps_every_bit() -> None:
    x = np.random.default_rng(1).integers(0, 0x7F800000, (4, 100), dtype=np.uint32).view(np.float32)
    assert_same_bits(formats.get("f32").dequantize(formats.get("f32").quantize(x)), x)
