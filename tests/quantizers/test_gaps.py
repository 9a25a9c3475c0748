"""Gaps in what quantize reads: importance of zero, tensors without statistics, values that are not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.errors import BitwrightError
from bitwright.formats import Format
from bitwright.io import gguf
from bitwright.quantizers import quantize
from bitwright.quantizers.tensor import can_encode, evened, quantize_tensor, takes_importance

WEIGHTED = [
    (f, method) for f in formats.all() if can_encode(f) for method in ("rtn", "search") if takes_importance(f, method)
]


@pytest.mark.parametrize(("format", "method"), WEIGHTED, ids=lambda value: getattr(value, "name", value))
def test_no_importance_loses_no_weight(format: Format, method: str) -> None:
    """In columns that share a scale and have no importance, all columns count the same."""
    random = np.random.default_rng(0)
    values = random.standard_normal((8, 512)).astype(np.float32)
    uniform = quantize_tensor(values, format, np.ones(512, np.float32), method=method)
    nothing = quantize_tensor(values, format, np.zeros(512, np.float32), method=method)
    np.testing.assert_array_equal(nothing.data, uniform.data)
    width = (format.block_size or 512) // format.groups
    importance = random.lognormal(0, 1, 512).astype(np.float32)
    importance[256 : 256 + width] = 0
    found = quantize_tensor(values, format, importance, method=method).dequantize()
    own = slice(256, 256 + width)
    off, expected = ((made[:, own] - values[:, own]).std() for made in (found, uniform.dequantize()))
    assert off < 1.3 * expected


def test_importance_is_filled_only_where_a_whole_run_has_none() -> None:
    q4_k = formats.get("q4_k")
    importance = np.tile(np.array([0, 3], np.float32), 128)
    assert evened(importance, q4_k) is importance
    importance[32:64] = 0
    filled = evened(importance, q4_k)
    assert (filled[32:64] == 3).all() and (filled[64:] == importance[64:]).all()


def model(path: Path, weights: int = 3, **replaced: np.ndarray) -> Path:
    random = np.random.default_rng(0)
    tensors = {f"blk.{n}.attn_q.weight": random.standard_normal((64, 256)) for n in range(weights)}
    tensors |= {
        "blk.0.ffn_up_exps.weight": random.standard_normal((2, 64, 256)),
        "blk.0.attn_norm.weight": np.ones(256),
    }
    tensors |= {"output.weight": random.standard_normal((64, 256)), "token_embd.weight": np.ones((64, 256))}
    f32 = formats.get("f32")
    made = [
        (name, array.shape, f32, lambda array=array: array.astype(np.float32))
        for name, array in (tensors | replaced).items()
    ]
    gguf.write(path, {"general.architecture": "llama", "llama.block_count": 3, "llama.expert_count": 2}, made)
    return path


def statistics(**importance: np.ndarray) -> ActivationStatistics:
    return ActivationStatistics({name: SquareSums(own, np.full(len(own), 100)) for name, own in importance.items()})


def test_tensors_without_statistics_are_counted_and_named(tmp_path: Path) -> None:
    source, random = model(tmp_path / "m.gguf"), np.random.default_rng(1)
    stats = statistics(
        **{"blk.1.attn_q.weight": random.random((1, 256)), "blk.0.ffn_up_exps.weight": random.random((2, 256))}
    )
    (warning,) = quantize(source, "q4_0", None, dry_run=True, method="rtn", stats=stats).warnings
    assert warning == ("the statistics cover 2 of 4 tensors that are quantized with them; without: "
                       "blk.0.attn_q.weight, blk.2.attn_q.weight")  # fmt: skip
    assert not quantize(source, "q8_0", None, dry_run=True, method="rtn", stats=stats).warnings  # uses no importance
    many = model(tmp_path / "many.gguf", 12)
    (warning,) = quantize(many, "q4_0", None, dry_run=True, stats=stats).warnings
    assert "cover 2 of 13" in warning and warning.endswith("blk.8.attn_q.weight and 3 more")


def test_statistics_of_zero_are_said(tmp_path: Path) -> None:
    source, random = model(tmp_path / "m.gguf", 1), np.random.default_rng(1)
    zero = np.vstack([random.random(256), np.zeros(256)])
    stats = statistics(**{"blk.0.attn_q.weight": random.random((1, 256)), "blk.0.ffn_up_exps.weight": zero})
    result = quantize(source, "q4_0", tmp_path / "out.gguf", method="rtn", stats=stats)
    assert result.warnings == ["the statistics of 1 tensor are zero for whole blocks, in which all columns count the "
                               "same: blk.0.ffn_up_exps.weight"]  # fmt: skip
    written = gguf.open(tmp_path / "out.gguf").tensor("blk.0.ffn_up_exps.weight").dequantize()
    assert abs(written - gguf.open(source).tensor("blk.0.ffn_up_exps.weight").dequantize()).max() < 0.5


def test_experts_that_no_token_reached_are_named(tmp_path: Path) -> None:
    source, random = model(tmp_path / "m.gguf", 1), np.random.default_rng(1)
    sums = np.vstack([random.random(256) * 100, np.zeros(256)])
    experts = {"blk.0.ffn_up_exps.weight": SquareSums(sums, np.array([100, 0]))}
    stats = ActivationStatistics(experts | statistics(**{"blk.0.attn_q.weight": random.random((1, 256))}).squares)
    result = quantize(source, "q4_0", tmp_path / "out.gguf", method="rtn", stats=stats)
    assert result.warnings == ["experts that no token reached are quantized by the mean of the others: "
                               "blk.0.ffn_up_exps.weight 1"]  # fmt: skip
    expert = gguf.open(source).tensor("blk.0.ffn_up_exps.weight").dequantize()[1]
    expected = quantize_tensor(expert, "q4_0", experts["blk.0.ffn_up_exps.weight"].importance[0], method="rtn")
    np.testing.assert_array_equal(
        gguf.open(tmp_path / "out.gguf").tensor("blk.0.ffn_up_exps.weight").data[1], expected.data
    )


def test_an_old_imatrix_of_a_mixture_is_read(tmp_path: Path) -> None:
    """A .dat, whoever wrote it, holds the rows of all experts as one."""
    source, random = model(tmp_path / "m.gguf", 1), np.random.default_rng(1)
    stats = statistics(
        **{"blk.0.attn_q.weight": random.random((1, 256)), "blk.0.ffn_up_exps.weight": random.random((2, 256))}
    )
    calibration.write(tmp_path / "s.dat", stats)
    read = calibration.read(tmp_path / "s.dat").fitted(gguf.open(source).tensors, "s.dat")
    for name in stats.squares:
        found, written = read.importance(name), stats.importance(name)
        assert found is not None and written is not None
        np.testing.assert_allclose(found, written, rtol=1e-6)
    assert quantize(source, "q4_k_s", tmp_path / "out.gguf", stats=tmp_path / "s.dat").output
    with pytest.raises(BitwrightError, match=r"needs statistics of shape \(2, 256\), got \(1, 500\)"):
        statistics(**{"blk.0.ffn_up_exps.weight": np.ones((1, 500))}).fitted(gguf.open(source).tensors, "s.dat")


@pytest.mark.parametrize(
    ("name", "place", "index"),
    [
        ("blk.0.attn_norm.weight", 7, "7"),
        ("output.weight", (3, 5), "3, 5"),
        ("blk.0.ffn_up_exps.weight", (1, 2, 3), "1, 2, 3"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_in_every_tensor(
    tmp_path: Path, name: str, place: int | tuple[int, ...], index: str, value: float
) -> None:
    whole = gguf.open(model(tmp_path / "m.gguf")).tensor(name).dequantize().copy()
    whole[place] = value
    source = model(tmp_path / "bad.gguf", **{name: whole})
    with pytest.raises(BitwrightError, match=rf"tensor {name}: expected finite values, got {value} at \[{index}\]"):
        quantize(source, "f32", tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def test_values_that_are_not_finite_are_refused_in_blocks(tmp_path: Path) -> None:
    q8_0 = formats.get("q8_0")
    data = q8_0.quantize(np.ones((4, 64), np.float32))
    data[2, 34:36] = np.frombuffer(np.array(np.inf, np.float16).tobytes(), np.uint8)  # the scale of a block
    gguf.write(
        tmp_path / "m.gguf", {"general.architecture": "llama"}, [("blk.0.ffn_up.weight", (4, 64), q8_0, lambda: data)]
    )
    with pytest.raises(BitwrightError, match=r"blk\.0\.ffn_up\.weight: expected finite values, got inf at \[2, 32\]"):
        quantize(tmp_path / "m.gguf", "q8_0", tmp_path / "out.gguf")
