"""Method search: the least weighted squared error in each block, compared with libgguf for the same importance."""

from __future__ import annotations

import gguf as gguf_package
import libgguf
import numpy as np
import pytest
from numpy.typing import NDArray
from real_tensors import real_tensors
from slow import slow_but

from bitwright import formats, kernels
from bitwright.formats import grids
from bitwright.kernels.encoders import encoders

Floats = NDArray[np.float32]
LEVELS = {"q4_0": 8, "q5_0": 16}  # codes below zero
SEARCHED = [formats.from_ggml(id).name for id, takes in encoders().items() if takes["search"]]
LONG = {"iq1_s", "iq1_m", "iq2_s", "iq2_xs"}  # libgguf takes 3 to 10 seconds to set up their grids
# The error may be at most this share of libgguf's, averaged over these tensors, with importance and without.
MOST = {
    "q4_0": (0.90, 0.88), "q4_1": (0.80, 0.59), "q5_0": (0.90, 0.87), "q5_1": (0.84, 0.62),
    "q8_0": (0.68, 0.86), "q2_k": (0.83, 0.71), "q3_k": (0.91, 0.91), "q4_k": (0.91, 0.96),
    "q5_k": (0.76, 0.79), "q6_k": (0.85, 0.87), "iq4_nl": (0.85, 0.89), "iq4_xs": (0.83, 0.88),
    "iq3_s": (0.76, 0.63), "iq3_xxs": (0.79, 0.67), "iq2_s": (0.78, 0.78), "iq2_xs": (0.74, 0.76),
    "iq2_xxs": (0.74, 0.76), "iq1_s": (0.81, 0.68), "iq1_m": (0.82, 0.53), "tq1_0": (0.33, 0.37),
    "tq2_0": (0.33, 0.37), "mxfp4": (0.91, 0.93), "nvfp4": (0.43, 0.64), "q1_0": (0.97, 1.0), "q2_0": (0.22, 0.29),
}  # fmt: skip


@pytest.fixture(scope="session")
def real(request: pytest.FixtureRequest) -> dict[str, Floats]:
    return real_tensors(request, 24, spread=True)


def skewed(columns: int, seed: int = 0) -> Floats:
    """Importance as in real models: most columns are similar, a few far larger."""
    return np.exp(1.5 * np.random.default_rng(seed).standard_normal(columns)).astype(np.float32)


def lost(values: Floats, data: NDArray[np.uint8], format: formats.Format, weights: Floats | float = 1.0) -> float:
    return float((weights * (format.dequantize(data).astype(np.float64) - values) ** 2).sum())


def by_llama_cpp(values: Floats, format: formats.Format, importance: Floats | None) -> NDArray[np.uint8]:
    """libgguf's bytes. It lacks Q2_0; there the bytes are those of `rtn`, which are ggml's (test_encoders)."""
    if format.name == "q2_0":
        return kernels.quantize(format, values, method="rtn")
    kind = gguf_package.GGMLQuantizationType(format.ggml)
    return np.asarray(libgguf.quantize_rows(values, kind, importance)).view(np.uint8).reshape(len(values), -1)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("name", slow_but([name for name in SEARCHED if name not in LONG], SEARCHED))
def test_error_against_libgguf_on_real_tensors(name: str, weighted: bool, real: dict[str, Floats]) -> None:
    format, ratios = formats.get(name), []
    for tensor, values in real.items():
        values = values[: 8 if name.startswith("iq1") else None]  # where libgguf is slow
        importance = skewed(values.shape[1]) if weighted else None
        theirs = by_llama_cpp(values, format, importance)
        weights = 1.0 if importance is None else importance
        ours, other = (
            lost(values, data, format, weights) for data in (kernels.quantize(format, values, importance), theirs)
        )
        assert ours <= other, f"{tensor}: {ours} against {other}"
        if other > 0:  # zero where the file's values already have this format
            ratios.append(ours / other)
    assert np.mean(ratios) <= MOST[name][not weighted], f"mean {np.mean(ratios):.3f} of {np.round(ratios, 3)}"


@pytest.mark.parametrize("name", [name for name in SEARCHED if name != "q2_0"])  # libgguf lacks it
def test_llama_cpp_decodes_the_same_weights(name: str, real: dict[str, Floats]) -> None:
    format, values = formats.get(name), real["widened blk.29.ffn_up.weight"]
    data = kernels.quantize(format, values, skewed(values.shape[1]))
    theirs = libgguf.dequantize_rows(data, gguf_package.GGMLQuantizationType(format.ggml), values.shape[1])
    assert np.array_equal(np.asarray(theirs).reshape(values.shape), format.dequantize(data))


@pytest.mark.parametrize("name", SEARCHED)
def test_importance_moves_error_to_unimportant_columns(name: str, real: dict[str, Floats]) -> None:
    format, values = formats.get(name), real["widened blk.14.ffn_down.weight"]
    importance = skewed(values.shape[1])
    with_it, without = (kernels.quantize(format, values, i) for i in (importance, None))
    assert lost(values, with_it, format, importance) < 0.99 * lost(values, without, format, importance)
    assert lost(values, with_it, format) > lost(values, without, format)
    scaled = kernels.quantize(format, values, importance * np.float32(2.0**40))
    assert np.array_equal(scaled, with_it)  # only the proportions count


@pytest.mark.parametrize("name", ["q4_0", "q5_0", "iq4_nl"])
def test_no_scale_of_thousands_is_much_better(name: str, real: dict[str, Floats]) -> None:
    """Every scale from a tenth to twice the usual one, either sign, in steps of 0.1%."""
    format, values = formats.get(name), real["widened blk.0.attn_q.weight"][:4].reshape(-1, 32)
    importance = skewed(32)
    levels = np.sort(np.asarray(format.table if format.table is not None else np.arange(-LEVELS[name], LEVELS[name])))
    middles = (levels[1:] + levels[:-1]) / 2
    usual, least = abs(values).max(1) / abs(levels).max(), np.full(len(values), np.inf)
    for factor in np.concatenate([np.geomspace(0.1, 2, 3000), -np.geomspace(0.1, 2, 3000)]):
        scale = (usual * factor).astype(np.float16).astype(np.float64)[:, None]
        miss = scale * levels[np.searchsorted(middles, values / scale)] - values
        least = np.minimum(least, (importance * miss**2).sum(1))
    ours = lost(values, kernels.quantize(format, values, importance), format, importance)
    assert ours < 1.002 * least.sum()


@pytest.mark.parametrize("name", ["iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_s", "iq1_m"])
def test_points_are_the_nearest_of_the_grid(name: str, real: dict[str, Floats]) -> None:
    """With the stored scales, no other point of the grid (with signs that the format allows) has a lower error."""
    format, values = formats.get(name), real["widened blk.0.attn_v.weight"][:2]
    importance = skewed(values.shape[1])
    data = kernels.quantize(format, values, importance).reshape(-1, format.block_bytes)
    codes, scales = format.unpack(data)
    blocks = values.reshape(-1, 256).astype(np.float64)
    weights = np.broadcast_to(importance, values.shape).reshape(-1, 8).astype(np.float64)
    scale = np.repeat(format.steps(scales)[0].astype(np.float64), 256 // format.groups, axis=1).reshape(-1, 8)
    x = blocks.reshape(-1, 8)
    got = (weights * (scale * codes.reshape(-1, 8) - x) ** 2).sum(1)
    if name == "iq1_s":  # where four points share their shift
        got = got.reshape(-1, 4).sum(1)
    least = nearest(name, x, weights, scale[:, 0])
    assert (got <= least * (1 + 1e-4) + 1e-12).all(), f"{(got / least).max()}"


def nearest(name: str, x: NDArray, w: NDArray, scale: NDArray) -> NDArray[np.float64]:
    """The least error of each eight values (groups, 8), over every point, sign and shift of the format."""
    points = grids.grid("iq1" if name.startswith("iq1") else name).astype(np.float64)
    if name.startswith("iq1"):
        shifted = [shortest(x, w, scale, 8 * points + shift) for shift in (-1, 1)]
        return np.min(shifted if name == "iq1_m" else [own.reshape(-1, 4).sum(1) for own in shifted], axis=0)
    if name in ("iq3_s", "iq2_s"):
        dim = points.shape[1]
        parts = [shortest(abs(x[:, i : i + dim]), w[:, i : i + dim], scale, points) for i in range(0, 8, dim)]
        return np.sum(parts, axis=0)
    dim, odd = points.shape[1], (x < 0).sum(1) % 2 == 1
    straight = [shortest(abs(x[:, i : i + dim]), w[:, i : i + dim], scale, points) for i in range(0, 8, dim)]
    turned = []
    for i in range(8):
        y = abs(x)
        y[:, i] *= -1
        parts = [shortest(y[:, j : j + dim], w[:, j : j + dim], scale, points) for j in range(0, 8, dim)]
        turned.append(np.sum(parts, axis=0))
    return np.where(odd, np.min(turned, axis=0), np.sum(straight, axis=0))


def shortest(x: NDArray, w: NDArray, scale: NDArray, points: NDArray) -> NDArray[np.float64]:
    """min over points of sum(w * (scale * point - x)^2), in float64."""
    square = (w * scale[:, None] ** 2) @ (points**2).T - 2 * (w * x * scale[:, None]) @ points.T
    return (square + (w * x * x).sum(1)[:, None]).min(1)


@pytest.mark.parametrize("name", ["q2_k", "q4_k", "q5_k"])
def test_no_neighbouring_sub_scale_is_better(name: str, real: dict[str, Floats]) -> None:
    """Changing the scale or min of a sub-block by one and rounding again hardly ever lowers the error."""
    format, values = formats.get(name), real["widened blk.14.ffn_down.weight"][:4]
    blocks = values.reshape(-1, 256)
    _, (d, dmin, s, m) = format.unpack(kernels.quantize(format, values).reshape(-1, format.block_bytes))
    top, shape = {"q2_k": 15}.get(name, 63), (len(blocks), format.groups, -1)

    def loses(s: NDArray, m: NDArray) -> Floats:
        scales = (d, dmin, s.astype(np.uint8), m.astype(np.uint8))
        miss = format.decode(format.round(blocks, scales), scales) - blocks
        return (miss.reshape(shape) ** 2).sum(-1)

    own = loses(s, m)
    for ds, dm in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        other = loses(np.clip(s.astype(int) + ds, 0, top), np.clip(m.astype(int) + dm, 0, top))
        assert np.minimum(own, other).sum() > 0.995 * own.sum()


def test_inactive_columns_do_not_break_the_search(real: dict[str, Floats]) -> None:
    """Blocks or whole tensors with an importance of 0 are still rounded well."""
    values = real["widened blk.14.ffn_down.weight"]
    importance = skewed(values.shape[1])
    importance[:512] = 0
    for name in SEARCHED:
        format = formats.get(name)
        data = kernels.quantize(format, values, importance)
        blocks = 512 // format.block_size * format.block_bytes
        assert np.array_equal(data[:, :blocks], kernels.quantize(format, values[:, :512])), name
        assert np.array_equal(kernels.quantize(format, values, 0 * importance), kernels.quantize(format, values)), name
