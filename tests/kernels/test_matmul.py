"""Matrix products against NumPy: every format, tier, path and ragged size, with an exact model of int8 inputs."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.random_blocks import GGML_BLOCKS, random_blocks
from numpy.typing import NDArray

from bitwright import formats, kernels
from bitwright.errors import BitwrightError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels._matmul import packed
from bitwright.kernels.program import _ggml_rounding

ELEMENTS = [f.name for f in formats.all() if f.name.startswith("float") or f.name == "bfloat16"]
PATHS = {"decode": False, "prefill": True}
ROUNDINGS = {"q4_0": 1, "q8_0": 1, "mxfp4": 1, "q4_1": 2, "q5_1": 2, "q4_k": 3, "iq2_xxs": 3}  # tier.h


def quantized_input(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The converted input of block formats: int8 codes per 32 columns, the largest at 127, and a float32 scale. In
    every 1024 columns the two groups with the largest scales also have codes for their remainders."""
    groups = x.reshape(len(x), -1, 32)
    coded, scales = int8(groups)
    for start in range(0, groups.shape[1], 32):
        for token, largest in enumerate(np.argsort(-scales[:, start : start + 32], axis=1, kind="stable")[:, :2]):
            rest = groups[token, start + largest] - coded[token, start + largest].astype(np.float32)
            coded[token, start + largest] += int8(rest)[0]
    return coded.reshape(x.shape)


def int8(groups: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Groups (..., 32) rounded to codes of -127 to 127, and their scales (...)."""
    largest = np.abs(groups).max(-1)
    scales = largest / np.float32(127)
    codes = np.rint(groups * (np.float32(127) / np.where(largest > 0, largest, np.float32(1)))[..., None])
    return codes * scales[..., None].astype(np.float64), scales


def rounded_to_bf16(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The converted input of a bfloat16 dot product."""
    bf16 = formats.get("bfloat16")
    return bf16.dequantize(bf16.quantize(x)).astype(np.float64)


def multiplied_as(name: str, tier: str) -> str:
    """The path of a format, which decode and prefill share."""
    (row,) = (c for c in kernels.coverage([formats.get(name)]) if c.tier == tier)
    assert row.decode == row.prefill
    return row.decode


def element_bytes(format: Format, shape: tuple[int, int]) -> NDArray[np.uint8]:
    values = np.random.default_rng(5).normal(0, 0.3, shape).astype(np.float32)
    return format.quantize(np.abs(values) if format.name == "float8_e8m0fnu" else values)


def check(name: str, shape: tuple[int, int], data: NDArray[np.uint8], x: NDArray[np.float32]) -> None:
    """Checks one weight on all tiers and paths. Each addition rounds by up to 2^-24 of the sum so far. A min is added
    separately from its codes, so partial sums exceed the terms, here by at most 8 times."""
    weight = QuantizedTensor("w", shape, formats.get(name), data)
    w = weight.dequantize().astype(np.float64)
    inputs = {"integer dot": quantized_input, "bf16 dot": rounded_to_bf16}
    for tier in kernels.tiers():
        path = multiplied_as(name, tier)
        exact = inputs[path](x) if path in inputs else x.astype(np.float64)
        expected, magnitude = exact @ w.T, np.abs(exact) @ np.abs(w.T)
        bound = 8 * (shape[1] / 16 + 8) * 2.0**-24 * magnitude
        matrix = packed(weight, tier)
        for path, prefill in PATHS.items():
            error = np.abs(matrix.multiply(x, prefill) - expected)
            over = error > bound
            if over.any():
                worst = np.unravel_index(np.argmax(error - bound), error.shape)
                got = matrix.multiply(x, prefill)[worst]
                where = f"{name} {tier} {path} {shape}, token and row {worst}"
                pytest.fail(f"{where}: expected {expected[worst]}, got {got}, bound {bound[worst]}")


@pytest.mark.parametrize("name", GGML_BLOCKS)
def test_block_formats(name: str) -> None:
    rng = np.random.default_rng(2)
    block = formats.get(name).block_size
    for rows, blocks, tokens in [(1, 1, 1), (3, 2, 2), (8, 1, 4), (17, 5, 3), (33, 1, 7), (50, 1280 // block, 9)]:
        shape = (rows, blocks * block)
        x = rng.normal(0, 1, (tokens, shape[1])).astype(np.float32)
        x[:, ::37] *= 20
        check(name, shape, random_blocks(formats.get(name), shape, seed=rows), x)


@pytest.mark.parametrize("name", ROUNDINGS)
def test_inputs_rounded_as_llama_cpp_does(name: str) -> None:
    """Scales of 32 columns and the sums of x for mins are float16; the scale of 256 columns is float32."""
    rng = np.random.default_rng(4)
    weight = QuantizedTensor("w", (20, 1280), formats.get(name), random_blocks(formats.get(name), (20, 1280), seed=4))
    assert _ggml_rounding(weight.format) == ROUNDINGS[name]
    block = {1: 32, 2: 32, 3: 256}[ROUNDINGS[name]]
    sizes = np.array([[1], [50], [0.1], [1e-2], [1e-3], [1e-4]])  # down to subnormal scales
    x = (rng.normal(0, 1, (6, 1280)) * sizes).astype(np.float32)
    groups = x.reshape(6, -1, block)
    scales = np.abs(groups).max(-1, keepdims=True) / np.float32(127)
    codes = np.rint(groups * (np.float32(127) / np.abs(groups).max(-1, keepdims=True)))
    kept = scales if block == 256 else scales.astype(np.float16)
    rounded = (codes * kept.astype(np.float64)).reshape(x.shape)
    w = weight.dequantize().astype(np.float64)
    expected, magnitude = rounded @ w.T, np.abs(rounded) @ np.abs(w.T)
    if name in ("q4_1", "q5_1"):
        _, minimum = weight.format.steps(weight.format.unpack(weight.data.reshape(-1, weight.format.block_bytes))[1])
        sums = (scales * codes.sum(-1, keepdims=True)).astype(np.float16)[..., 0].astype(np.float64)
        off = sums - (codes * kept.astype(np.float64)).sum(-1)
        expected += off @ minimum.reshape(20, -1).T.astype(np.float64)
    for tier in kernels.tiers():
        for prefill in PATHS.values():
            got = packed(weight, tier).multiply(x, prefill, ROUNDINGS[name])
            assert (np.abs(got - expected) <= 8 * (1280 / 16 + 8) * 2.0**-24 * magnitude).all(), (tier, prefill)


@pytest.mark.parametrize("name", ELEMENTS)
def test_element_formats(name: str) -> None:
    rng = np.random.default_rng(2)
    for rows, columns, tokens in [(1, 4, 1), (3, 36, 2), (8, 64, 5), (17, 172, 3), (33, 1028, 7)]:
        data = element_bytes(formats.get(name), (rows, columns))
        check(name, (rows, columns), data, rng.normal(0, 1, (tokens, columns)).astype(np.float32))


def test_affine_formats_are_multiplied_as_float32() -> None:
    format = formats.get("int4_sym_g32")
    values = np.random.default_rng(0).normal(0, 1, (5, 96)).astype(np.float32)
    check(format.name, (5, 96), format.quantize(values), values[:3])


@pytest.mark.parametrize("name", [*GGML_BLOCKS, *ELEMENTS])
def test_decode_and_prefill_agree_to_the_bit(name: str) -> None:
    shape = (40, 2048)
    format = formats.get(name)
    data = element_bytes(format, shape) if name in ELEMENTS else random_blocks(format, shape, seed=4)
    weight = QuantizedTensor("w", shape, format, data)
    x = np.random.default_rng(1).normal(0, 1, (6, shape[1])).astype(np.float32)
    for tier in kernels.tiers():
        decode, prefill = (kernels.matmul(weight, x, path, tier=tier) for path in ("decode", "prefill"))
        assert np.array_equal(decode, prefill), tier


def test_tokens_are_independent() -> None:
    shape = (24, 512)
    weight = QuantizedTensor("w", shape, formats.get("q4_k"), random_blocks(formats.get("q4_k"), shape, seed=4))
    x = np.random.default_rng(1).normal(0, 1, (11, shape[1])).astype(np.float32)
    alone = np.concatenate([kernels.matmul(weight, x[t : t + 1]) for t in range(len(x))])
    for path in PATHS:
        assert np.array_equal(kernels.matmul(weight, x, path), alone), path


@pytest.mark.parametrize("tier", kernels.tiers())
def test_extreme_inputs(tier: str) -> None:
    shape = (9, 256)
    weight = QuantizedTensor("w", shape, formats.get("q8_0"), random_blocks(formats.get("q8_0"), shape, seed=4))
    x = np.ones((4, 256), np.float32)
    x[0] = 0
    x[1] = 1e-38
    x[2, 3] = np.nan
    x[3, 40] = np.inf
    for path in PATHS:
        y = kernels.matmul(weight, x, path, tier=tier)
        assert (y[0] == 0).all()
        assert (y[1] == 0).all()  # below 1e-30 a group of inputs counts as zero
        assert np.isnan(y[2]).all() and np.isnan(y[3]).all()


def test_refusals() -> None:
    data = random_blocks(formats.get("q4_0"), (4, 64), seed=0)
    weight = QuantizedTensor("w", (4, 64), formats.get("q4_0"), data)
    with pytest.raises(BitwrightError, match="64 columns, got 32"):
        kernels.matmul(weight, np.zeros((1, 32), np.float32))
    with pytest.raises(UsageError, match="abacus"):
        kernels.matmul(weight, np.zeros((1, 64), np.float32), tier="abacus")
    with pytest.raises(UsageError, match="path"):
        kernels.matmul(weight, np.zeros((1, 64), np.float32), path="sideways")
    with pytest.raises(UsageError, match="shape"):
        kernels.matmul(weight, np.zeros(64, np.float32))
    with pytest.raises(BitwrightError, match="bytes"):
        kernels.WeightBank().native.matrices([(2, 4, 64, data.reshape(-1)[:-1].copy(), True)])


def test_coverage_names_every_format_on_every_tier() -> None:
    rows = kernels.coverage()
    assert {(r.format, r.tier) for r in rows} == {(f.name, t) for f in formats.all() for t in kernels.tiers()}
    whole = {"float32", "float16", "bfloat16"}
    for r in rows:
        expected = "integer dot" if r.format in GGML_BLOCKS else "float" if r.format in whole else "converted"
        if (r.format, r.tier) == ("bfloat16", "avx512_bf16"):
            expected = "bf16 dot"
        assert r.decode == r.prefill == expected, r
