"""Native dequantization, bit for bit against the `gguf` package, `libgguf` and ml_dtypes."""

from __future__ import annotations

import libgguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants
from kernels.random_blocks import GGML_BLOCKS, random_blocks

from bitwright import formats, kernels
from bitwright.errors import UsageError
from bitwright.kernels._matmul import is_native


def assert_same_bits(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    same = (got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))
    if not same.all():
        worst = tuple(np.argwhere(~same)[0])
        pytest.fail(f"{what} at {worst}: expected {expected[worst]!r}, got {got[worst]!r} ({(~same).sum()} differ)")


@pytest.mark.parametrize("name", GGML_BLOCKS)
def test_random_blocks_equal_ggml(name: str) -> None:
    format = formats.get(name)
    data = random_blocks(format, (60, 1024), seed=1)
    got = kernels.dequantize(format, data)
    assert got.shape == (60, 1024)
    assert_same_bits(got, formats.get(name).dequantize(data), f"{name} against formats")
    if name not in ("q8_k", "q2_0"):  # neither package reads these
        type = GGMLQuantizationType(format.ggml)
        if name != "q1_0":
            assert_same_bits(got, quants.dequantize(data, type), f"{name} against gguf")
        assert_same_bits(got, np.asarray(libgguf.dequantize_rows(data, type, 1024)), f"{name} against libgguf")


@pytest.mark.parametrize("name", [f.name for f in formats.all() if f.name.startswith("float")])
def test_every_code_of_every_float_format(name: str) -> None:
    format = formats.get(name)
    if name == "float32":
        data = np.random.default_rng(0).integers(0, 256, (4, 4096), dtype=np.uint8)
    elif name in ("float16", "bfloat16"):
        data = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(1, -1)
    else:
        data = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, -1)
        data = np.concatenate([data, np.random.default_rng(0).integers(0, 256, (1, 3000), dtype=np.uint8)], axis=1)
    assert_same_bits(kernels.dequantize(format, data), format.dequantize(data), name)


def test_affine_formats_are_decoded_by_formats() -> None:
    format = formats.get("int4_sym_g32")
    data = format.quantize(np.linspace(-1, 1, 256, dtype=np.float32).reshape(4, 64))
    assert not is_native(format)
    assert np.array_equal(kernels.dequantize(format, data), format.dequantize(data))


def test_shapes() -> None:
    data = random_blocks(formats.get("q4_0"), (6, 64), seed=0)
    cube = kernels.dequantize("q4_0", data.reshape(2, 3, -1), threads=1)
    assert cube.shape == (2, 3, 64)
    assert np.array_equal(cube.reshape(6, 64), kernels.dequantize("q4_0", data, threads=2))
    assert kernels.dequantize("q4_0", data[:0]).shape == (0, 64)
    with pytest.raises(UsageError, match="18"):
        kernels.dequantize("q4_0", data[:, :-1])
    with pytest.raises(UsageError, match="uint8"):
        kernels.dequantize("q4_0", data.astype(np.int32))
