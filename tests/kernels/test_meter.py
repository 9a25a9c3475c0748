"""What the core reports: how each format is multiplied, how many bytes it reads, and the highest rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernels.random_blocks import random_blocks

from bitwright import formats, kernels
from bitwright.errors import BitwrightError
from bitwright.formats import QuantizedTensor
from bitwright.kernels._matmul import is_native, packed

NATIVE = [f.name for f in formats.all() if is_native(f)]


@pytest.mark.parametrize("tier", kernels.tiers())
@pytest.mark.parametrize("name", NATIVE)
def test_bytes_read_are_those_of_the_packed_weight(name: str, tier: str) -> None:
    format, shape = formats.get(name), (67, 512)
    weight = QuantizedTensor("w", shape, format, random_blocks(format, shape, seed=0))
    assert kernels.bytes_read(format, *shape, tier) == packed(weight, tier, 1).bytes


def test_a_format_without_kernels_is_read_as_float32() -> None:
    format = formats.get("int4_sym_g32")
    assert kernels.bytes_read(format, 3, 128) == 4 * 3 * 128
    assert {(r.tier, r.decode, r.prefill) for r in kernels.coverage([format])} == {
        (tier, "reference", "reference") for tier in kernels.tiers()
    }


@pytest.mark.parametrize("tier", kernels.tiers())
def test_a_meter_measures(tier: str) -> None:
    meter = kernels.Meter(1, tier)
    for measure in (meter.read_gb_s, meter.int8_gop_s, meter.bf16_gflop_s, meter.float32_gflop_s):
        value = measure(0.01)
        assert value > 0 and math.isfinite(value)


@pytest.mark.parametrize("name", ["q2_k", "q8_0", "float16", "float8_e4m3fn"])
def test_decoding_is_measured_on_every_path(name: str) -> None:
    """A packed layout with mins, full codes, one read in the file's layout, and one converted in scratch."""
    format, shape = formats.get(name), (40, 512)
    weight = QuantizedTensor("w", shape, format, random_blocks(format, shape, seed=0))
    found = kernels.Meter(2).decoding(weight, 0.01)
    assert found.cached > 0 and found.memory > 0
    assert found.bytes_per_weight == kernels.bytes_read(format, 32, 512) / (32 * 512)
    assert found.memory_gb_s == found.memory * found.bytes_per_weight / 1e9


def test_an_incomplete_weight_is_refused() -> None:
    meter = kernels.Meter(1)
    with pytest.raises(BitwrightError, match="expected 288 bytes for a weight of 8 rows and 64 columns, got 280"):
        meter._native.decode(formats.get("q4_0").ggml, 8, 64, np.zeros(280, np.uint8), False, 0.01)
    with pytest.raises(BitwrightError, match="row"):
        meter._native.decode(formats.get("q4_0").ggml, 0, 64, np.zeros(0, np.uint8), False, 0.01)
