"""Scaled 8-bit floats: codes as rounded by ml_dtypes, with scales that use the element's whole range."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from formats.vectors import weights

from bitwright import formats
from bitwright.errors import UnsupportedError
from bitwright.hardware.number_format import number_format

ELEMENTS = {"float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2}


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize(("share", "group"), [("g32", 32), ("g128", 128), ("row", 256), ("tensor", 256 * 8)])
def test_codes_and_scales(element: str, share: str, group: int) -> None:
    x = weights((8, 256), 3)
    x[2] = 0 if share != "tensor" else x[2]
    format, dtype = formats.get(f"{element}_{share}"), ELEMENTS[element]
    packed = format.quantize(x)
    assert packed.shape == (8, format.row_bytes(256)) and format.columns(packed.shape[1]) == 256
    parts = x.reshape(-1, group)
    scale = np.abs(parts).max(1, keepdims=True) / np.float32(ml_dtypes.finfo(dtype).max)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    codes = (parts * inverse).astype(dtype)
    want = (codes.astype(np.float32) * scale).reshape(x.shape)
    np.testing.assert_array_equal(format.dequantize(packed), want)
    rows = packed.reshape(-1, 4 + min(group, 256))
    np.testing.assert_array_equal(rows[:, 4:].reshape(x.shape), codes.view(np.uint8).reshape(x.shape))
    assert np.abs(want).max() == pytest.approx(np.abs(x).max(), rel=1e-6)


def test_importance_lowers_the_error_it_weighs() -> None:
    x, importance = weights((8, 256), 4), np.random.default_rng(5).exponential(size=256).astype(np.float32) ** 4
    format = formats.get("float8_e4m3fn_row")
    plain, weighed = (importance * (format.dequantize(format.quantize(x, i)) - x) ** 2 for i in (None, importance))
    assert weighed.sum() < plain.sum()


def test_the_layout_for_hardware() -> None:
    seen = number_format("float8_e4m3fn_row")
    assert (seen.element, seen.scaled) == ("fp8_e4m3", True)


@pytest.mark.parametrize("name", ["float8_e4m3fn_g12", "float8_e8m0fnu_row", "float16_row", "float8_e5m2_"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"unknown format '{name}'; did you mean {name[:7]}") as raised:
        formats.get(name)
    assert {*formats.FAMILIES} <= {*raised.value.supported}
