"""Dot products in slow motion: exact where integers are added, and every lane says where it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright import formats
from bitwright.kernels import lanes

CASES = [(f, t) for f in lanes.FORMATS for t in lanes.TARGETS if lanes.available(formats.get(f), t)]


def problem(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    format = formats.get(name)
    return format.quantize(random.standard_normal(32)), random.standard_normal(32).astype(np.float32)


def rounded(x: np.ndarray) -> np.ndarray:
    scale = np.float32(np.abs(x).max() / 127)
    return np.rint(x / scale).astype(np.float64) * float(scale)


@pytest.mark.parametrize("name, target", CASES)
def test_the_result_is_the_dot_product_of_the_decoded_block(name: str, target: str) -> None:
    format = formats.get(name)
    for seed in range(20):
        block, x = problem(name, seed)
        weights = format.dequantize(block).astype(np.float64)
        seen = {"half": x.astype(np.float16), "fp4": format.dequantize(format.quantize(x))}.get(target, rounded(x))
        bound = (2e-3 if target == "half" else 1e-6) * np.abs(weights * seen).sum()
        assert lanes.dot(format, block, x, target).result == pytest.approx(weights @ seen, abs=bound)


@pytest.mark.parametrize("name", lanes.FORMATS)
def test_processors_agree_to_the_bit(name: str) -> None:
    block, x = problem(name, 3)
    assert len({lanes.dot(formats.get(name), block, x, t).result for t in ("avx2", "vnni", "neon")}) == 1


@pytest.mark.parametrize("name, target", CASES)
def test_every_lane_names_its_sources(name: str, target: str) -> None:
    found = lanes.dot(formats.get(name), *problem(name, 4), target)
    known: dict[str, int] = {}
    for step in found.steps:
        known |= {register.name: len(register.lanes) for register in step.registers}
        for register in step.registers:
            for source, each in register.sources.items():
                assert len(each) == len(register.lanes)
                assert all(0 <= lane < known[source] for from_ in each for lane in from_)
    assert found.steps[-1].registers[-1].lanes[0] == np.float32(found.result)


def test_sums_of_lanes_are_sums_of_their_sources() -> None:
    by = {r.name: r for s in lanes.dot(formats.get("q4_0"), *problem("q4_0", 5), "avx2").steps for r in s.registers}
    w, x = by["codes"].lanes.astype(int), by["x"].lanes.astype(int)
    pairs = [int(w[two] @ x[two]) for two in by["pairs"].sources["x"]]
    assert by["pairs"].lanes.tolist() == pairs
    assert by["sums"].lanes.tolist() == [sum(pairs[lane] for lane in four) for four in by["sums"].sources["pairs"]]


def test_nothing_saturates_but_what_must() -> None:
    q8_0 = formats.get("q8_0")
    block = np.concatenate([np.array([1], np.float16).view(np.uint8), np.full(32, 128, np.uint8)])  # all -128
    x = np.full(32, -1, np.float32)
    assert [lanes.dot(q8_0, block, x, t).result for t in ("avx2", "vnni", "neon")] == pytest.approx([4096] * 3)
    assert lanes.saturated(np.array([2 * 255 * 127, -40000, 5])).tolist() == [32767, -32768, 5]
