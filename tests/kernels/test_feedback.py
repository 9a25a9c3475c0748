"""Error feedback: the reported objective is right, falls with each round, and is below that of plain rounding."""

from __future__ import annotations

import hashlib
import itertools
from functools import cache

import numpy as np
import pytest

from bitwright import formats, kernels
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.kernels.encoders import encoders

FORMATS = [formats.from_ggml(id).name for id in kernels.feedback_formats()]
ROWS, COLUMNS = 40, 512  # one whole tile of rows and a part


def layer(columns=COLUMNS):
    """Weights, and the second moments of correlated inputs; the caller's to change."""
    weights, hessian = made(columns)
    return weights.copy(), hessian.copy()


@cache
def made(columns, damping=0.01):
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((columns, columns)) * np.exp(-np.arange(columns) / 100)[:, None]
    inputs = rng.standard_normal((1000, columns)) @ mixing
    hessian = (inputs.T @ inputs / len(inputs)).astype(np.float32)
    hessian[np.diag_indices(columns)] += damping * hessian.diagonal().mean()
    return (0.02 * rng.standard_normal((ROWS, columns))).astype(np.float32), hessian


def left(weights, decoded, hessian):
    error = weights.astype(np.float64) - decoded
    return np.einsum("ij,jk,ik", error, hessian.astype(np.float64), error, optimize=True)


@pytest.mark.parametrize("name", FORMATS)
def test_the_objective_is_right_falls_and_beats_rounding(name):
    weights, hessian = layer()
    format = formats.get(name)
    data, objective = kernels.feedback(format, weights, hessian, rounds=3)
    assert all(after < before for before, after in itertools.pairwise(objective))
    assert left(weights, format.dequantize(data), hessian) == pytest.approx(objective[-1], rel=1e-3)
    importance = np.ascontiguousarray(hessian.diagonal()) if encoders()[format.ggml]["rtn"] else None
    rounded = kernels.quantize(format, weights, importance, method="rtn")
    assert objective[0] < 0.4 * left(weights, format.dequantize(rounded), hessian)


@pytest.mark.parametrize("name", FORMATS)
def test_with_independent_inputs_it_is_a_search(name):
    """Nearly as good as method search, which tries more superblock scales."""
    weights, _ = layer()
    format, hessian = formats.get(name), np.eye(COLUMNS, dtype=np.float32)
    data, _ = kernels.feedback(format, weights, hessian)
    rounded = kernels.quantize(format, weights)
    assert left(weights, format.dequantize(data), hessian) < 1.03 * left(weights, format.dequantize(rounded), hessian)


@pytest.mark.parametrize("name", FORMATS)
def test_threads_and_instruction_sets_change_no_byte(name, monkeypatch):
    weights, hessian = layer(columns=256)
    format = formats.get(name)
    data, objective = kernels.feedback(format, weights, hessian, threads=1)
    again, same = kernels.feedback(format, weights, hessian, threads=3)
    assert np.array_equal(data, again) and objective == same
    monkeypatch.setenv("BITWRIGHT_TIER", "scalar")
    portable, same = kernels.feedback(format, weights, hessian, threads=2)
    assert np.array_equal(data, portable) and objective == same


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_independent_and_zeros_stay(name):
    weights, hessian = layer(columns=256)
    weights[3] = 0
    format = formats.get(name)
    data, _ = kernels.feedback(format, weights, hessian)
    alone, _ = kernels.feedback(format, weights[3:5], hessian)
    assert np.array_equal(data[3:5], alone)
    assert not format.dequantize(data[3:4]).any()


def test_the_factor_is_right_with_a_partial_block():
    weights, hessian = layer(columns=96)
    format = formats.get("q8_0")
    data, objective = kernels.feedback(format, weights, hessian, rounds=0)
    assert left(weights, format.dequantize(data), hessian) == pytest.approx(objective[0], rel=1e-3)


def test_invalid_arguments_are_refused():
    weights, hessian = layer(columns=256)
    q4_k = formats.get("q4_k")
    with pytest.raises(UnsupportedError, match="error feedback for"):
        kernels.feedback(formats.get("f16"), weights, hessian)
    with pytest.raises(UsageError, match="expected"):
        kernels.feedback(q4_k, weights, hessian[:32, :32])
    with pytest.raises(BitwrightError, match="not positive definite"):
        kernels.feedback(q4_k, weights, hessian - 2 * np.eye(256, dtype=np.float32) * hessian.max())
    weights[2, 5] = np.nan
    with pytest.raises(BitwrightError, match=r"nan at \[2, 5\]"):
        kernels.feedback(q4_k, weights, hessian)
    weights[2, 5] = 1e30
    with pytest.raises(BitwrightError, match="out of the range of q4_k"):
        kernels.feedback(q4_k, weights, hessian)


# SHA-256 of the bytes, so that faster code is known to choose the same
CHOSEN = {
    "q2_k": "27997ed21f41d3a9", "q4_k": "0073ab864b4754b4", "q5_k": "46ee527b66e4dc49", "q3_k": "e0ffb710ef779f47",
    "q6_k": "fae358dfa590792a", "iq4_xs": "6a0c2d0e6144519e", "q4_0": "1b2bcdf5e0142ae0", "q5_0": "831404ee059e93ca",
    "q8_0": "ea4a8864b01751a5", "iq4_nl": "9db6999cc5a3677c", "q4_1": "ccfd950ec2bf806c", "q5_1": "72cf8d035acdd898",
    "q1_0": "e35142dc72ad5060", "q2_0": "d78c702508058d1b", "mxfp4": "c7df060787a8a196", "nvfp4": "cd5f0af212e4ab27",
    "iq1_s": "6ff0e4e65fa578d3", "iq1_m": "886829f2308b8f68", "iq2_xxs": "81d11b1ec5a8b98f",
    "iq2_xs": "b211988affbaeff0", "iq2_s": "6a5333cda56774a7", "iq3_xxs": "7578d5f17fdd9d03",
    "iq3_s": "b58d5d1574da66e9",
}  # fmt: skip


@cache
def integers():
    """Every product and sum of these is exact, so weights and second moments are the same on every machine."""
    rng = np.random.default_rng(0)
    inputs = (rng.integers(-8, 9, (600, COLUMNS)) + rng.integers(-8, 9, (600, 1))).astype(np.float64)
    hessian = (inputs.T @ inputs + 1000 * np.eye(COLUMNS)).astype(np.float32)
    return (rng.integers(-1000, 1001, (ROWS, COLUMNS)) / 2**14).astype(np.float32), hessian


@pytest.mark.parametrize("name", FORMATS)
def test_the_bytes_stay_what_they_were(name):
    data, _ = kernels.feedback(formats.get(name), *integers())
    assert hashlib.sha256(data.tobytes()).hexdigest()[:16] == CHOSEN[name]
